"""From a plan to a mosaic through every process and wire; the world and the specimen are the judges."""

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tensorstore
import yaozarrs
import zarr
from numpy.typing import NDArray

from api.twin import Twin
from tests.api.conftest import NANORASTER, told

Command = Callable[..., subprocess.CompletedProcess[str]]
DEADLINE_S = 60.0


def level(mosaic: Path, layer: str = "raw", number: int = 0) -> NDArray[Any]:
    return np.asarray(zarr.open_array(mosaic / layer / str(number), mode="r")[:])


def place_um(mosaic: Path, layer: str, number: int) -> tuple[list[float], list[float]]:
    """Scale and translation (y, x) of a level."""
    group = json.loads((mosaic / layer / "zarr.json").read_text())["attributes"]["ome"]
    scale, translation = group["multiscales"][0]["datasets"][number]["coordinateTransformations"]
    return scale["scale"], translation["translation"]


def shift_px(first: NDArray[Any], second: NDArray[Any]) -> float:
    """How far two pictures of one thing lie apart."""
    window = cv2.createHanningWindow(first.shape[::-1], cv2.CV_32F)
    (dx, dy), _ = cv2.phaseCorrelate(first.astype(np.float32), second.astype(np.float32), window)
    return float(np.hypot(dx, dy))


def attempts(run: Path) -> list[dict[str, Any]]:
    with sqlite3.connect(run / "journal.db") as db:
        db.row_factory = sqlite3.Row
        rows = [dict(row) for row in db.execute("SELECT * FROM tiles ORDER BY rowid")]
    db.close()
    return rows


def worker_pids(run: Path) -> list[int]:
    with sqlite3.connect(run / "journal.db") as db:
        rows = db.execute("SELECT data FROM events WHERE kind = 'worker_started'").fetchall()
    db.close()
    return [json.loads(data)["pid"] for (data,) in rows]


def wait_until(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            if value := found():
                return value
        except (OSError, sqlite3.Error):
            pass  # not there yet
        time.sleep(0.01)
    raise AssertionError("waited too long")


def started(plan: Path, twin: Twin, run: Path) -> subprocess.Popen[str]:
    command = [str(NANORASTER), "scan", str(plan), "--rig", str(twin.rig), "--out", str(run), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def undisturbed(nanoraster: Command, twin: Twin, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that the disturbed ones must equal."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_plan(folder / "plan.toml")
    told(nanoraster("scan", folder / "plan.toml", "--rig", twin.rig, "--out", folder / "run", "--json"))
    return folder / "run"


def write_plan(path: Path, exposure_ms: int = 60) -> Path:
    region = "[region]\nx_um = [1.0, 28.0]\ny_um = [1.0, 25.0]\n"
    path.write_text(f"{region}[tiles]\noverlap = 0.3\n[camera]\nexposure_ms = {exposure_ms}\n")
    return path


def pyramid(mosaic: Path) -> Iterator[NDArray[Any]]:
    for layer in ("raw", "restored"):
        for path in sorted((mosaic / layer).glob("[0-9]*")):
            yield level(mosaic, layer, int(path.name))


def same(first: Path, second: Path) -> bool:
    pairs = zip(pyramid(first), pyramid(second), strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)


@pytest.mark.parametrize(("overlap", "seed"), [(0.1, 4), (0.2, 5), (0.4, 6)])
def test_a_demo_finds_the_truth(
    nanoraster: Command, natural_image: Path, tmp_path: Path, overlap: float, seed: int
) -> None:
    options = ["--specimen", natural_image, "--pixel-nm", 25, "--region-um", "34x30", "--overlap", overlap]
    done = told(nanoraster("demo", "--out", tmp_path, *options, "--seed", seed, "--model", "nlm", "--json"))
    summary = done["summary"]
    assert summary["tiles"]["ok"] == summary["tiles"]["planned"]
    assert summary["truth"]["position_error_px_rms"] <= 0.5
    assert summary["truth"]["position_error_px_max"] <= 1.5
    run = Path(done["run"])
    lines = (run / "positions.csv").read_text().splitlines()
    assert len(lines) == summary["tiles"]["planned"] + 1
    assert all(",registration," in line for line in lines[1:])

    mosaic = Path(done["mosaic"])
    yaozarrs.validate_zarr_store(mosaic)
    image = level(mosaic)
    (scale_um, _), (top_um, left_um) = place_um(mosaic, "raw", 0)
    assert scale_um == pytest.approx(0.025)
    specimen = cv2.imread(str(natural_image), cv2.IMREAD_UNCHANGED).astype(np.float32)
    row, col = round((10.0 - top_um) / scale_um), round((9.0 - left_um) / scale_um)
    at_row, at_col = round((top_um + row * scale_um) / 0.025), round((left_um + col * scale_um) / 0.025)
    part, true = image[row : row + 512, col : col + 512], specimen[at_row : at_row + 512, at_col : at_col + 512]
    assert shift_px(part, true) <= 1.0  # the coordinates of the mosaic are those of the specimen

    picture = cv2.imread(done["picture"], cv2.IMREAD_GRAYSCALE)
    assert picture.std() > 20
    assert "<svg" in Path(done["report"]).read_text()


def test_the_mosaic_of_a_chip_is_nearer_to_the_truth_when_it_is_restored(nanoraster: Command, tmp_path: Path) -> None:
    done = told(nanoraster("demo", "--out", tmp_path, "--region-um", "16x14", "--json"))
    assert done["summary"]["model"]["name"] == "sem_denoise"
    assert done["summary"]["model"]["doubtful_tiles"] == []
    truth = done["summary"]["truth"]
    assert truth["psnr_restored_db"] > truth["psnr_raw_db"] + 0.3


def test_the_mosaic_is_valid_while_the_scan_goes_on(twin: Twin, tmp_path: Path) -> None:
    run = tmp_path / "run"
    scan = started(write_plan(tmp_path / "plan.toml", exposure_ms=1500), twin, run)
    wait_until(lambda: (run / "mosaic.zarr" / "zarr.json").exists())
    drawn = 0
    while drawn < 512 * 512 // 4:  # the first tile, at half resolution
        assert scan.poll() is None, scan.communicate()
        yaozarrs.validate_zarr_store(run / "mosaic.zarr")
        drawn = int(np.count_nonzero(level(run / "mosaic.zarr", number=1)))
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(run / "mosaic.zarr/raw/0")}}
        tensorstore.open(spec).result()[:300, :300].read().result()
    scan.send_signal(signal.SIGINT)
    out, error = scan.communicate(timeout=DEADLINE_S)
    assert json.loads(out)["outcome"] == "stopped", error


def test_a_killed_worker_changes_nothing(undisturbed: Path, twin: Twin, tmp_path: Path) -> None:
    run = tmp_path / "run"
    scan = started(write_plan(tmp_path / "plan.toml"), twin, run)
    for deaths, tiles in ((1, 3), (2, 7)):
        wait_until(lambda tiles=tiles: len(attempts(run)) >= tiles)  # type: ignore[misc]
        os.kill(worker_pids(run)[-1], signal.SIGKILL)
        wait_until(lambda deaths=deaths: len(worker_pids(run)) > deaths)  # type: ignore[misc]
    _, error = scan.communicate(timeout=DEADLINE_S)
    assert scan.returncode == 0, error
    assert len(worker_pids(run)) == 3
    assert np.array_equal(zarr.open_array(run / "raw.zarr")[:], zarr.open_array(undisturbed / "raw.zarr")[:])
    assert same(run / "mosaic.zarr", undisturbed / "mosaic.zarr")
    assert (run / "positions.csv").read_text() == (undisturbed / "positions.csv").read_text()


def file_bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_killed_scan_leaves_every_journalled_frame_and_is_resumed_as_if_nothing_had_happened(
    nanoraster: Command, undisturbed: Path, twin: Twin, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    scan = started(write_plan(tmp_path / "plan.toml"), twin, run)
    wait_until(lambda: len(attempts(run)) >= 6)
    scan.kill()
    scan.communicate()
    journalled = attempts(run)
    frames, whole = zarr.open_array(run / "raw.zarr", mode="r"), zarr.open_array(undisturbed / "raw.zarr", mode="r")
    assert len(journalled) >= 6
    for attempt in journalled:
        assert np.array_equal(frames[attempt["frame"]], whole[attempt["frame"]])
    resumed = told(nanoraster("resume", run, "--json"))
    assert resumed["outcome"] == "completed"
    assert resumed["summary"]["resumed"] == 1
    assert file_bytes(run / "raw.zarr") == file_bytes(undisturbed / "raw.zarr")
    assert same(run / "mosaic.zarr", undisturbed / "mosaic.zarr")


def test_a_finished_run_is_left_alone(nanoraster: Command, undisturbed: Path) -> None:
    before = file_bytes(undisturbed)
    assert told(nanoraster("resume", undisturbed, "--json"))["outcome"] == "completed"
    assert file_bytes(undisturbed) == before


def test_reconstructing_a_run_again_gives_the_same_mosaic(
    nanoraster: Command, undisturbed: Path, tmp_path: Path
) -> None:
    told(nanoraster("reconstruct", undisturbed, "--out", tmp_path / "again", "--json"))
    assert same(tmp_path / "again" / "mosaic.zarr", undisturbed / "mosaic.zarr")


def test_a_stopped_scan_keeps_what_it_took_and_says_so(twin: Twin, tmp_path: Path) -> None:
    run = tmp_path / "run"
    scan = started(write_plan(tmp_path / "plan.toml"), twin, run)
    wait_until(lambda: len(attempts(run)) >= 3)
    scan.send_signal(signal.SIGINT)
    out, _ = scan.communicate(timeout=DEADLINE_S)
    assert scan.returncode == 1
    assert json.loads(out)["outcome"] == "stopped"
    assert json.loads(out)["summary"]["tiles"]["ok"] == len(attempts(run))


def test_a_plan_can_be_looked_at_without_moving(nanoraster: Command, twin: Twin, tmp_path: Path) -> None:
    before = twin.world.exposures()
    plan = write_plan(tmp_path / "plan.toml")
    found = told(nanoraster("plan", plan, "--rig", twin.rig, "--preview", tmp_path / "plan.png", "--json"))
    assert (found["tiles"], found["columns"], found["rows"]) == (12, 4, 3)
    assert min(found["overlap"]) >= 0.3
    assert found["problems"] == []
    assert cv2.imread(str(tmp_path / "plan.png")).std() > 5
    assert twin.world.exposures() == before


def test_files_of_the_same_name_in_the_current_folder_do_not_get_in_the_way(
    natural_image: Path, tmp_path: Path
) -> None:
    for name in ("api.py", "hardware_sim.py", "reconstruction.py"):
        (tmp_path / name).write_text("raise SystemExit('mine')")
    command = [
        str(NANORASTER),
        "demo",
        "--specimen",
        str(natural_image),
        "--region-um",
        "12x9",
        "--model",
        "nlm",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stderr


def test_a_scan_in_line_mode_sweeps_every_row_into_its_mosaic(nanoraster: Command, twin: Twin, tmp_path: Path) -> None:
    plan = tmp_path / "lines.toml"
    plan.write_text(
        "[region]\nx_um = [2.0, 26.0]\ny_um = [1.0, 24.0]\n"
        '[tiles]\noverlap = 0.15\nmode = "line"\nline_blur_px = 2.0\n[camera]\nexposure_ms = 1\n'
    )
    found = told(nanoraster("scan", plan, "--rig", twin.rig, "--out", tmp_path / "run", "--json"))
    assert found["summary"]["tiles"]["ok"] == found["summary"]["tiles"]["planned"] == 9
    true_um = {exposure["number"]: exposure for exposure in twin.world.exposures()}
    with closing(sqlite3.connect(tmp_path / "run" / "journal.db")) as journal:
        taken = journal.execute("SELECT actual_x_um, actual_y_um, camera_frame FROM tiles").fetchall()
    for x_um, y_um, number in taken:  # where a move really ends is 3 px rms off, and no sensor sees it
        assert (x_um, y_um) == pytest.approx((true_um[number]["x_um"], true_um[number]["y_um"]), abs=15 * 0.02)
    stitch = found["summary"]["stitch"]
    assert stitch["accepted"] == stitch["edges"] == 12
    assert stitch["residual_px_rms"] < 0.5
