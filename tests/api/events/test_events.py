"""Events over a WebSocket: each once, in order, and from where one was cut off."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from fastapi import WebSocket
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from acquisition.journal import Journal
from api.access.open_socket import POLICY_VIOLATION
from api.access.roles import Role
from api.app import create_app
from api.data_folder import DataFolder
from api.events.collector import Collector
from api.events.log import EventLog, Happened
from api.remote import NanorasterError
from api.remote_events import follow
from api.routes import events
from api.service import Service
from tests.api.service_bench import SOON_S, PlayedWork, eventually, listening, plan, rig_file

URL = "/api/v1/events"
OF_A_RUN = 7  # events: of six tiles, and that it is complete


@pytest.fixture(autouse=True)
def attentive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of other processes are looked for more often than every 5 s."""
    monkeypatch.setattr("api.events.collector.LOOK_AROUND_S", 0.4)


@contextmanager
def serving(folder: Path, played: PlayedWork) -> Iterator[TestClient]:
    service = Service(DataFolder(folder), rig_file(folder), work=played.work)
    with TestClient(create_app(service)) as client:
        yield client


def run_job(client: TestClient) -> str:
    job = client.post("/api/v1/jobs", json={"plan": plan()}).json()["id"]
    eventually(lambda: client.get(f"/api/v1/jobs/{job}").json()["state"] == "done")
    return str(client.get(f"/api/v1/jobs/{job}").json()["run"])


def hear(client: TestClient, count: int, **query: Any) -> list[dict[str, Any]]:
    with client.websocket_connect(url(**query)) as socket:
        return [socket.receive_json() for _ in range(count)]


def url(**query: Any) -> str:
    return f"{URL}?{'&'.join(f'{key}={value}' for key, value in query.items())}"


def mark(message: dict[str, Any]) -> dict[str, Any]:
    """To go on after a message."""
    return {"after": message["seq"], "epoch": message["epoch"]}


def test_each_event_comes_once_and_one_goes_on_after_the_last_that_one_saw(tmp_path: Path) -> None:
    with serving(tmp_path, PlayedWork()) as client:
        first = run_job(client)
        heard = hear(client, 3, after=0)
        heard += hear(client, 4, after=heard[-1]["seq"])
        assert [message["seq"] for message in heard] == list(range(1, 1 + OF_A_RUN))
        assert {message["run"] for message in heard} == {first}
        tiles = [message["data"]["tile"] for message in heard if message["kind"] == "tile"]
        assert sorted(tiles) == list(range(6))
        assert [message["kind"] for message in heard if message["kind"] != "tile"] == ["run_completed"]
    with serving(tmp_path, PlayedWork()) as client:  # numbers outlive the service
        second = run_job(client)
        later = hear(client, OF_A_RUN, after=OF_A_RUN)
        assert [message["seq"] for message in later] == list(range(1 + OF_A_RUN, 1 + 2 * OF_A_RUN))
        assert {message["run"] for message in later} == {second}


def test_who_listens_hears_what_comes(tmp_path: Path) -> None:
    played = PlayedWork()
    with serving(tmp_path, played) as client:
        run_job(client)
        eventually(lambda: client.app.state.events.newest == OF_A_RUN)  # type: ignore[attr-defined]
        with client.websocket_connect(URL) as socket:
            run = run_job(client)
            assert (first := socket.receive_json())["run"] == run
            assert first["seq"] == OF_A_RUN + 1


def test_the_events_of_a_journal_are_among_them(tmp_path: Path) -> None:
    with serving(tmp_path, PlayedWork()) as client:
        run = run_job(client)
        with closing(Journal(tmp_path / "runs" / run / "journal.db")) as journal:  # as another process would
            journal.add_event("tile_skipped", tile=3)
        told = hear(client, OF_A_RUN + 1, after=0)[-1]
        assert (told["kind"], told["data"]) == ("tile_skipped", {"tile": 3})


def test_a_copy_that_was_cut_off_goes_on_without_gap_or_repetition(tmp_path: Path) -> None:
    log = EventLog(tmp_path)
    log.add("a", [Happened("events", 1, "t", "paused", {}), Happened("events", 2, "t", "continued", {})])
    log.close()
    log = EventLog(tmp_path)
    assert (log.newest, log.known("a", "events"), log.known("a", "tiles")) == (2, 2, 0)
    log.add("a", [Happened("events", 2, "t", "continued", {}), Happened("events", 3, "t", "paused", {})])
    assert [message["kind"] for message in log.after(0, 10)] == ["paused", "continued", "paused"]
    assert len(log.after(0, 2)) == 2
    log.close()


def test_what_came_last_is_remembered_as_it_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.events.log.REMEMBERED", 3)
    told: list[int] = []
    with closing(EventLog(tmp_path, lambda: told.append(1))) as log:
        assert log.remembered(0) is None
        log.add("a", [Happened("events", number, "t", "paused", {}) for number in range(1, 6)])
        assert told == [1]
        assert log.remembered(1) is None
        assert log.remembered(2) == log.messages(2, 9)
        assert log.remembered(4) == log.messages(4, 9)
        assert log.remembered(5) == []


def test_a_damaged_copy_is_put_aside_and_made_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(tmp_path, PlayedWork()) as client:
        run_job(client)
    for old in tmp_path.glob("events.db*"):
        old.unlink()
    (tmp_path / "events.db").write_text("not a database" * 100)
    with serving(tmp_path, PlayedWork()) as client:
        assert [message["seq"] for message in hear(client, 6, after=0)] == [1, 2, 3, 4, 5, 6]
    assert "put aside" in capsys.readouterr().err
    assert (tmp_path / "events.damaged").exists()


def test_a_damaged_run_is_told_and_keeps_no_other_from_being_heard(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path, PlayedWork()) as client:
        run_job(client)
    damaged = tmp_path / "runs" / "0"
    damaged.mkdir()
    (damaged / "run.json").write_text("{}")
    (damaged / "journal.db").write_text("not a database, by far")
    (tmp_path / "events.db").unlink()
    log = EventLog(tmp_path)
    Collector(log, tmp_path / "runs", lambda: None).look()
    assert log.newest == OF_A_RUN
    log.close()
    assert str(damaged) in capsys.readouterr().err


def test_a_run_that_is_just_being_made_is_waited_for_in_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half_made = tmp_path / "runs" / "half"
    half_made.mkdir(parents=True)
    (half_made / "journal.db").touch()
    asked: list[int] = []

    def running() -> Any:
        asked.append(1)
        return SimpleNamespace(job=SimpleNamespace(run="half"))

    with closing(EventLog(tmp_path)) as log, Collector(log, tmp_path / "runs", running):
        eventually(lambda: len(asked) > 2)
    assert capsys.readouterr().err == ""


def test_a_listener_whose_token_is_revoked_is_cut_off(tmp_path: Path) -> None:
    with serving(tmp_path, PlayedWork()) as client:
        tokens = client.app.state.access.tokens  # type: ignore[attr-defined]
        header = {"Authorization": f"Bearer {tokens.create('mia', Role.VIEW)}"}
        with client.websocket_connect(URL, headers=header) as socket:
            tokens.revoke("mia")
            with pytest.raises(WebSocketDisconnect) as ending:
                socket.receive_json()
        assert ending.value.code == POLICY_VIOLATION


def test_listeners_are_counted_and_those_that_leave_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MOST_LISTENERS", 1)
    with serving(tmp_path, PlayedWork()) as client:
        listeners = client.app.state.listeners  # type: ignore[attr-defined]
        with client.websocket_connect(URL):
            eventually(lambda: len(listeners) == 1)
            with client.websocket_connect(URL) as other, pytest.raises(WebSocketDisconnect) as refusal:
                other.receive_json()
            assert refusal.value.code == events.TOO_MANY
        eventually(lambda: not listeners)


def test_one_caller_leaves_places_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_OF_ONE", 1)
    with serving(tmp_path, PlayedWork()) as client:
        tokens = client.app.state.access.tokens  # type: ignore[attr-defined]
        mia, max_ = ({"Authorization": f"Bearer {tokens.create(name, Role.VIEW)}"} for name in ("mia", "max"))
        listeners = client.app.state.listeners  # type: ignore[attr-defined]
        with client.websocket_connect(URL, headers=mia):
            eventually(lambda: len(listeners) == 1)
            with client.websocket_connect(URL, headers=mia) as other, pytest.raises(WebSocketDisconnect) as refusal:
                other.receive_json()
            assert refusal.value.code == events.TOO_MANY
            with client.websocket_connect(URL, headers=max_):
                eventually(lambda: len(listeners) == 2)


def test_a_number_of_a_log_that_is_gone_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path, PlayedWork()) as client:
        with client.websocket_connect(f"{URL}?after=1") as socket, pytest.raises(WebSocketDisconnect) as refusal:
            socket.receive_json()
        assert refusal.value.code == events.BEGUN_ANEW
        with client.websocket_connect(f"{URL}?after=0"):
            pass


def test_a_number_of_another_log_is_refused_though_this_one_has_given_it_too(tmp_path: Path) -> None:
    with serving(tmp_path, PlayedWork()) as client:
        run_job(client)
        third = hear(client, 3, after=0)[-1]
    with serving(tmp_path, PlayedWork()) as client:  # the same log: the same numbers
        assert hear(client, 1, **mark(third))[0]["seq"] == 4
    for lost in tmp_path.glob("events.db*"):
        lost.unlink()
    with serving(tmp_path, PlayedWork()) as client:
        anew = hear(client, 6, after=0)
        assert anew[-1]["seq"] > third["seq"]
        assert {message["epoch"] for message in anew} != {third["epoch"]}
        with client.websocket_connect(url(**mark(third))) as socket, pytest.raises(WebSocketDisconnect) as refusal:
            socket.receive_json()
        assert refusal.value.code == events.BEGUN_ANEW
        assert hear(client, 1, **mark(anew[0]))[0] == anew[1]


def test_a_log_of_before_there_were_epochs_gets_one_and_keeps_its_numbers(tmp_path: Path) -> None:
    with closing(EventLog(tmp_path)) as log:
        log.add("a", [Happened("events", 1, "t", "paused", {})])
    with closing(sqlite3.connect(tmp_path / "events.db")) as db:
        db.execute("DROP TABLE epoch")
    with closing(EventLog(tmp_path)) as log:
        assert (log.newest, len(epoch := log.epoch)) == (1, 16)
    with closing(EventLog(tmp_path)) as log:
        assert log.epoch == epoch


def test_what_is_very_old_is_forgotten_but_nothing_of_a_run_that_has_not_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.events.log.KEPT", 4)
    monkeypatch.setattr("api.events.log.AT_ONCE", 3)
    with closing(EventLog(tmp_path)) as log:
        for run in ("old", "unended", "new"):
            log.add(run, [Happened("events", number, "t", "paused", {}) for number in range(1, 7)])
        for _ in range(9):
            log.forget(lambda: ["unended", "of which nothing was heard"])
        assert (log.forgotten, [each["seq"] for each in log.after(0, 1)]) == (6, [7])
        for _ in range(9):
            log.forget(tuple)
        assert (log.newest, log.forgotten, [each["seq"] for each in log.after(0, 1)]) == (18, 12, [13])
        assert log.known("old", "events") == 6  # and is not copied again
    with closing(EventLog(tmp_path)) as log:
        assert (log.newest, log.forgotten, log.known("old", "events")) == (18, 12, 6)


def test_a_log_of_before_it_could_forget_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(EventLog(tmp_path)) as log:
        log.add("a", [Happened("events", number, "t", "paused", {}) for number in range(1, 4)])
    with closing(sqlite3.connect(tmp_path / "events.db")) as db:
        db.executescript("DROP TABLE copied; DROP TABLE forgotten")
    with closing(EventLog(tmp_path)) as log:
        assert (log.known("a", "events"), log.known("a", "tiles"), log.forgotten) == (3, 0, 0)


def test_a_number_that_is_too_old_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.events.log.KEPT", 4)
    monkeypatch.setattr("api.events.log.REMEMBERED", 1)
    monkeypatch.setattr("api.events.log.AT_ONCE", 1)
    monkeypatch.setattr("api.events.collector.LOOK_AROUND_S", 0.4)
    with serving(tmp_path, PlayedWork()) as client:
        run_job(client)
        eventually(lambda: client.app.state.events.forgotten == 2)  # type: ignore[attr-defined]
        with client.websocket_connect(f"{URL}?after=1") as socket, pytest.raises(WebSocketDisconnect) as refusal:
            socket.receive_json()
        assert refusal.value.code == events.FORGOTTEN
        assert [hear(client, 1, after=after)[0]["seq"] for after in (0, 2)] == [3, 3]


def test_who_is_cut_off_before_the_first_event_misses_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tell, cuts = events._tell, list[int]()

    async def cut_once(socket: WebSocket, log: EventLog, *more: Any) -> None:
        if cuts:
            return await tell(socket, log, *more)
        cuts.append(1)
        await socket.close(1012)
        return await asyncio.to_thread(log.add, "a", [Happened("events", 1, "t", "paused", {})])

    monkeypatch.setattr(events, "_tell", cut_once)
    app = create_app(Service(DataFolder(tmp_path), rig_file(tmp_path), work=PlayedWork().work))
    with listening(uvicorn.Config(app, log_level="error")) as (host, port):
        heard = next(follow(f"http://{host}:{port}", {}, None, None, SOON_S))
        assert (heard.run, heard.kind, cuts) == ("a", "paused", [1])
        with pytest.raises(NanorasterError, match="begun anew"):
            next(follow(f"http://{host}:{port}", {}, heard.seq, "another", SOON_S))


@pytest.mark.parametrize("after", ["-1", "x", "1e3", "99999999999999999999"])
def test_a_number_that_cannot_be_is_refused(tmp_path: Path, after: str) -> None:
    with (
        serving(tmp_path, PlayedWork()) as client,
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(f"{URL}?after={after}"),
    ):
        pass
