"""`nanoraster queue`, as somebody at a terminal uses it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from typer.testing import CliRunner, Result

from acquisition.queue_database import QueueDatabase
from acquisition.states import Outcome
from api.cli import app, exit_code
from api.data_folder import DataFolder
from api.halt import Halt
from api.open_queue import open_queue
from tests.api.service_bench import plan, rig_file

Command = Callable[..., dict[str, Any]]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder, given by the environment."""
    folder = tmp_path / "data"
    monkeypatch.setenv("NANORASTER_DATA", str(folder))
    monkeypatch.delenv("NANORASTER_DATABASE", raising=False)
    return folder


@pytest.fixture
def plan_path(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan()))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["queue", *map(str, arguments)])


def told(*arguments: object) -> dict[str, Any]:
    """The one JSON object of a command that went well."""
    finished = run(*arguments, "--json")
    assert finished.exit_code == 0, finished.output
    found: dict[str, Any] = json.loads(finished.stdout)
    return found


def refused(*arguments: object) -> str:
    """What a refused command says; its exit code is 2."""
    error = run(*arguments).exception
    assert isinstance(error, Exception)

    def command() -> None:
        raise error

    assert exit_code(command, debug=False) == 2
    return str(error)


@pytest.fixture
def add(data: Path, tmp_path: Path, plan_path: Path) -> Command:
    """Add the plan with more options."""
    rig = rig_file(tmp_path)
    return lambda *more: told("add", plan_path, "--rig", rig, *more)


def names_in(data: Path) -> list[str]:
    with open_queue(DataFolder(data)) as queue:
        return [job.name for job in queue.jobs()]


def test_a_plan_is_added_with_its_rig_and_times(add: Command, tmp_path: Path) -> None:
    job = add("--start-at", "2030-01-01T01:00+01:00", "--window", "22:00-07:00 Europe/Berlin")
    assert job["rig"] == str(tmp_path / "rig.toml")
    assert (job["start_at"], job["window"]) == ("2030-01-01T00:00:00Z", "22:00-07:00 Europe/Berlin")
    assert told("list")["jobs"] == [job]


def test_jobs_are_moved_changed_and_removed(add: Command, data: Path) -> None:
    first, second = add()["id"], add("--start-at", "2030-01-01T00:00")["id"]
    assert told("move", second, 0)["id"] == second
    assert [job["id"] for job in told("list")["jobs"]] == [second, first]
    assert told("set", second, "--start-at", "any", "--window", "20:00-06:00 UTC")["start_at"] is None
    assert told("remove", first)["state"] == "removed"
    assert [job["window"] for job in told("list")["jobs"]] == ["20:00-06:00 UTC"]


def test_the_queue_is_held_and_released(add: Command) -> None:
    told("remove", add()["id"])
    assert "reason ' '" in refused("hold", " ")
    told("hold", "door open")
    assert told("list")["held"] == "door open"
    assert "held: door open" in run("list").stdout
    told("release")
    assert told("list") == {"queue_version": 4, "held": None, "jobs": [], "damaged": []}


def test_a_stop_that_the_queue_does_not_know_of_is_not_released_behind_its_back(add: Command, data: Path) -> None:
    add()
    halt = Halt(DataFolder(data).stopped)
    halt.stop("a finger", None)
    halt.write_down()
    assert "everything was stopped" in refused("release")


def test_a_stop_told_while_the_queue_is_being_released_is_not_undone(
    add: Command, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add()
    told("hold", "door open")
    halt, writing = Halt(DataFolder(data).stopped), QueueDatabase.writing

    @contextmanager
    def after_a_stop(database: QueueDatabase) -> Iterator[Connection]:
        with writing(database) as connection:
            halt.stop("a finger", None)
            halt.write_down()
            yield connection

    monkeypatch.setattr(QueueDatabase, "writing", after_a_stop)
    assert "everything was stopped" in refused("release")
    assert told("list")["held"] == "door open"


def test_a_list_for_people_names_the_queue_and_has_a_line_for_each_job(add: Command, data: Path) -> None:
    add()
    add("--window", "22:00-07:00 UTC")
    lines = run("list").stdout.splitlines()
    assert lines[0] == f"queue {data / 'nanoraster.db'}"
    assert len(lines) == 3
    assert all("pads" in line and "queued" in line for line in lines[1:])
    assert "22:00-07:00 UTC" in lines[2]


def test_a_job_that_ended_has_its_tiles_in_its_line(add: Command, data: Path) -> None:
    job_id = add()["id"]
    with open_queue(DataFolder(data)) as queue:
        queue.claim(job_id, "me", "the-run")
        queue.finish(job_id, Outcome.COMPLETED, tiles=(16, 20))
    line = run("list").stdout.splitlines()[-1]
    assert "completed" in line
    assert "16 of 20 tiles" in line


@pytest.mark.parametrize(
    "command", [["list"], ["move", 1, 0], ["set", 1, "--window", "any"], ["remove", 1], ["hold"], ["release"]]
)
def test_a_folder_without_a_queue_is_refused_and_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[Any]
) -> None:
    monkeypatch.delenv("NANORASTER_DATA", raising=False)
    monkeypatch.delenv("NANORASTER_DATABASE", raising=False)
    monkeypatch.chdir(tmp_path)
    said = refused(*command)
    assert "--data" in said
    assert str(tmp_path) in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--window", "at night"], ["--window", "at night", "22:00-07:00"]),
        (["--start-at", "0001-01-01T00:00+14:00"], ["--start-at", "0001-01-01T00:00+14:00", "2000..2099"]),
        (["--start-at", "tomorrow"], ["--start-at", "tomorrow", "2026"]),
        (["--database", "mysteriousdb://x"], ["database", "mysteriousdb"]),
    ],
)
def test_options_that_cannot_be_used_are_refused(
    data: Path, tmp_path: Path, plan_path: Path, arguments: list[str], words: list[str]
) -> None:
    said = refused("add", plan_path, "--rig", rig_file(tmp_path), *arguments)
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"region": {"x_um": [90, 130], "y_um": [0, 9]}}, ["axis x", "90..130"]),
        ({"focus": {"policy": "row", "range_um": 20.0}}, ["focus.policy = 'row'", "no focus stage"]),  # z goes 10 um
    ],
)
def test_a_plan_that_the_rig_cannot_carry_out_is_not_added(
    data: Path, tmp_path: Path, plan_path: Path, changes: dict[str, Any], words: list[str]
) -> None:
    plan_path.write_text(json.dumps(plan(**changes)))
    said = refused("add", plan_path, "--rig", rig_file(tmp_path))
    assert all(word in said for word in words), said
    assert names_in(data) == []


@pytest.mark.parametrize("command", [["move", 7, 0], ["remove", 7], ["set", 7, "--window", "any"]])
def test_a_job_that_there_is_not(add: Command, command: list[Any]) -> None:
    add()
    assert "job 7" in refused(*command)


def test_a_number_too_large_for_any_job(add: Command) -> None:
    add()
    assert "job 99999999999999999999" in refused("remove", 10**20 - 1)


def test_set_without_anything_to_set(add: Command) -> None:
    assert "--start-at or --window" in refused("set", add()["id"])


def test_a_database_elsewhere_is_used_when_its_url_is_given(
    add: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NANORASTER_DATABASE", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    add()
    assert (tmp_path / "elsewhere.db").exists()
    assert len(told("list")["jobs"]) == 1
