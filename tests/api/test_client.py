"""The client for notebooks and scripts, against the service that users have."""

import csv
import json
import runpy
import subprocess
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from api.access.roles import Role
from api.access.tokens import Tokens
from api.client import Client, NanorasterError, Progress, RemoteMosaic, connect, plan
from reconstruction.tile_lists import listed_tiles
from tests.api.conftest import told
from tests.api.test_serve import Serving, serving

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.py"
SLOW = plan(x_um=(2, 26), y_um=(1, 24), exposure_ms=100, name="slow")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def service(data: Path, natural_image: Path) -> Iterator[Serving]:
    options = f"--world still --specimen {natural_image} --pixel-nm 20 --seed 3"
    with serving(data, "--sim", "--sim-options", options) as running:
        yield running


@pytest.fixture
def scope(service: Serving) -> Iterator[Client]:
    with connect(service.url) as client:
        yield client
        client.release()


@pytest.fixture(scope="module")
def notebook(service: Serving, data: Path) -> dict[str, Any]:
    """What the notebook of the documentation leaves behind."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NANORASTER_URL", service.url)
        environment.setenv("NANORASTER_DATA", str(data))
        return runpy.run_path(str(NOTEBOOK))


def test_the_notebook_does_what_it_says(notebook: dict[str, Any], data: Path) -> None:
    run = data / "runs" / notebook["run"].name
    assert len(notebook["tiles"]) == notebook["expected"].tiles
    assert isinstance(notebook["mosaic"], zarr.Array)
    assert np.array_equal(notebook["mosaic"][:], zarr.open_array(run / "mosaic.zarr/raw/0", mode="r")[:])
    assert (data / "restored" / run.name / "nlm").is_dir()
    assert notebook["report"] == (run / "report/report.html").read_text()


def test_a_mosaic_elsewhere_is_what_the_page_shows(notebook: dict[str, Any], scope: Client) -> None:
    here, there = notebook["mosaic"], scope.run(notebook["run"].name).mosaic()
    assert isinstance(there, RemoteMosaic)
    assert (there.shape, there.ndim) == (here.shape, 2)
    assert there.display_range is not None
    low, high = there.display_range
    expected = np.clip((here[:].astype(float) - low) * 255 / (high - low), 0, 255)
    shown = np.asarray(there)
    assert np.abs(shown - expected).mean() < 6
    assert np.array_equal(there[200:300, 250:260], shown[200:300, 250:260])
    assert np.array_equal(there[10:300:7, -40:], shown[10:300:7, -40:])
    assert np.array_equal(there[-3, 5:9], shown[-3, 5:9])
    assert there[3:3].shape == (0, there.shape[1])
    for wrong in (10**6, (1, 2, 3), "a", (slice(9, 1, -1), 2)):
        with pytest.raises(IndexError):
            there[wrong]
    with pytest.raises(NanorasterError, match="layers: raw"):
        scope.run(notebook["run"].name).mosaic("raw", 99)


def test_its_run_goes_to_fiji_and_back(
    notebook: dict[str, Any],
    data: Path,
    tmp_path: Path,
    nanoraster: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    run, tiles, again = data / "runs" / notebook["run"].name, tmp_path / "tiles", tmp_path / "again"
    told(nanoraster("export", run, "--tiles", tiles, "--json"))
    found, listed = places(run / "positions.csv"), listed_tiles(tiles, None)
    assert {name: (x, y) for name, x, y in listed} == {f"{name}.tif": place for name, place in found.items()}
    frames = zarr.open_array(run / "raw.zarr", mode="r")
    assert np.array_equal(tifffile.imread(tiles / listed[0][0]), frames[0])
    told(nanoraster("reconstruct", tiles, "--out", again, "--json"))
    back = places(again / "positions.csv")
    names = sorted(found)
    moved = np.array([back[f"{name}.tif"] for name in names]) - np.array([found[name] for name in names])
    assert np.abs(moved - moved.mean(axis=0)).max() < 0.1


def places(positions: Path) -> dict[str, tuple[float, float]]:
    with positions.open(newline="") as file:
        return {row["file"]: (float(row["x_px"]), float(row["y_px"])) for row in csv.DictReader(file)}


def test_a_job_obeys_and_all_is_stopped(scope: Client) -> None:
    heard: list[Progress] = []
    job = scope.submit(SLOW)

    def heeded(progress: Progress) -> None:
        heard.append(progress)
        if progress.job.doing == "acquiring":
            job.pause("tile")
        if progress.job.doing == "paused":
            job.skip()
            job.resume()
            scope.stop_everything()

    assert job.wait(heeded, timeout_s=100) is job
    assert heard[-1].job.outcome == "stopped"
    assert scope.status().held == "stopped over HTTP"
    waits = scope.submit(SLOW)
    waits.remove()
    with pytest.raises(NanorasterError, match="was removed"):
        waits.wait()
    assert any(progress.tiles and progress.tiles.planned == 9 for progress in heard)
    with pytest.raises(NanorasterError, match="not running") as refusal:
        job.resume()
    assert refusal.value.status == 409


def test_what_goes_wrong_is_one_exception_with_the_detail(scope: Client, tmp_path: Path) -> None:
    with pytest.raises(NanorasterError, match=r"outside 0\.\.0\.9") as refusal:
        scope.submit(SLOW | {"tiles": {"overlap": 3}})
    assert refusal.value.errors.keys() == {"plan.tiles.overlap"}
    with pytest.raises(NanorasterError, match="there is none"):
        scope.run("nowhere").facts()
    for name in ("../../jobs", "..", ""):
        with pytest.raises(NanorasterError, match="should be a name"):
            scope.run(name).facts()
    with pytest.raises(NanorasterError, match="should be a name"):
        scope.move("../stop", x=1)
    with pytest.raises(NanorasterError, match=r"absent\.toml"):
        scope.submit(tmp_path / "absent.toml")
    with pytest.raises(NanorasterError, match="cannot be sent as JSON"):
        scope.preview({"name": {1, 2}})
    with pytest.raises(NanorasterError, match="token"):
        connect(scope._connection.url, "é")
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({"region": {"x_um": [3, 1], "y_um": [0, 1]}}))
    with pytest.raises(NanorasterError, match="must lie below"):
        scope.preview(file)
    with pytest.raises(NanorasterError, match="Connection refused"):
        connect("http://127.0.0.1:9")
    with pytest.raises(NanorasterError):
        connect("nowhere")
    with pytest.raises(NanorasterError, match="Connection refused"):
        next(Client.events(connect_unasked("http://127.0.0.1:9"), after=0, patience_s=0))


def test_numbers_of_numpy_are_numbers(scope: Client) -> None:
    plain = scope.preview(plan(x_um=(2, 26), y_um=(1, 24), exposure_ms=20))
    measured: Any = np.array([1, 24], np.int64)
    found = scope.preview(plan(x_um=(np.float32(2), np.int64(26)), y_um=measured, exposure_ms=np.float32(20)))
    assert (found.tiles, found.places_um) == (plain.tiles, plain.places_um)


def connect_unasked(url: str) -> Client:
    from api.remote import Connection

    return Client(Connection(url, None, 1.0), None)


def test_events_go_on_after_the_last_that_was_heard(scope: Client, notebook: dict[str, Any]) -> None:
    whole = list(islice(scope.events(after=0), 6))
    assert [event.seq for event in whole] == [1, 2, 3, 4, 5, 6]
    assert list(islice(scope.events(after=4), 2)) == whole[4:]


def test_the_lease_is_kept_and_given_up(service: Serving, data: Path) -> None:
    tokens = Tokens(data)
    secrets = {name: tokens.create(name, Role.OPERATE) for name in ("mia", "leo")}
    try:
        with connect(service.url, secrets["mia"]) as mia, connect(service.url, secrets["leo"]) as leo:
            with mia.lease(seconds=1.0):
                threading.Event().wait(1.5)  # longer than it would last
                with pytest.raises(NanorasterError, match="mia"):
                    leo.hold()
            leo.hold()
            leo.release()
        with pytest.raises(NanorasterError, match="unknown"):
            connect(service.url, "nr_nobody")
    finally:
        (data / "tokens.json").unlink()
