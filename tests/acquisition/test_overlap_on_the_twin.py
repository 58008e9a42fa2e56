"""Overlap control with a real worker on the twin, whose camera is not what its rig file says."""

import re
from contextlib import closing
from pathlib import Path

import pytest

from acquisition.field import Field
from acquisition.instructions import Instructions
from acquisition.journal import Attempt, utc_now
from acquisition.overlap import PlannedTile
from acquisition.overlap_control import OverlapControl, mean_overlap
from acquisition.places import Aim
from acquisition.plan import Plan
from acquisition.run_store import RunStore
from api.twin import Twin, running_twin
from api.worker_process import WorkerProcess
from devices.rig import Rig, RigSettings, open_rig

WORLD = """
base = "still"
[camera]
rotation_deg = 1.0
frame_shape_px = [256, 256]
[mechanics]
position_error_px_rms = 1.0
"""
PLAN = {
    "region": {"x_um": (20.0, 42.0), "y_um": (20.0, 38.0)},
    "tiles": {"overlap": 0.25, "overlap_band": (0.1, 0.5)},
}
WORKER_S = 60.0
"""More than a worker needs on a busy machine; less than the suite's time-out."""


def miscalibrated(twin: Twin, folder: Path) -> RigSettings:
    """A pixel 5 % too large, and no word of the rotation."""
    text = re.sub(r"camera_to_stage_um.*\n", "", twin.rig.read_text())
    text = re.sub(r"pixel_size_um = (\S+)", lambda found: f"pixel_size_um = {float(found[1]) * 1.05}", text)
    path = folder / "rig.toml"
    path.write_text(text)
    return RigSettings.load(path)


def taken(rig: Rig, store: RunStore, tile: PlannedTile, aim: Aim) -> None:
    if not aim.is_set:
        rig.scanner.move_to(aim.set_out_below(tile.x_um, tile.y_um))
        aim.arrive()
    rig.scanner.move_to(aim.set_out(tile.x_um, tile.y_um))
    aim.arrive()
    at_um, frame = rig.scanner.read_position_um(), rig.camera.snap()
    attempt = Attempt(
        tile=tile.index,
        attempt=1,
        row=tile.row,
        col=tile.col,
        started_at=utc_now(),
        target_x_um=tile.x_um,
        target_y_um=tile.y_um,
        target_z_um=None,
        exposure_s=0.02,
        actual_x_um=at_um["x"],
        actual_y_um=at_um["y"],
        from_above=aim.from_above,
        camera_frame=frame.number,
        verdict="ok",
    )
    store.record(attempt, frame.pixels)


def test_a_wrong_calibration_is_put_right_after_the_first_rows(tmp_path: Path) -> None:
    (tmp_path / "world.toml").write_text(WORLD)
    with running_twin(["--world", str(tmp_path / "world.toml")]) as twin:
        true = Field.calibrated(RigSettings.load(twin.rig).calibration)
        settings, plan = miscalibrated(twin, tmp_path), Plan.model_validate(PLAN)
        dumped = settings.model_dump(mode="json")
        with (
            open_rig(settings, leave_out=("video", "force", "focus")) as rig,
            closing(RunStore.create(tmp_path / "run", plan, Field.calibrated(settings.calibration), dumped)) as store,
            WorkerProcess(tmp_path / "run", ["--world", twin.world.url], store.journal, lambda said: None) as worker,
        ):
            limits_um = rig.scanner.limits_um
            control = OverlapControl(store, limits_um, store.journal.add_event, Instructions(), WORKER_S)
            aim, row = Aim(dumped, limits_um), 0
            while store.missing():
                for tile in [tile for tile in store.missing() if tile.row == row]:
                    taken(rig, store, tile, aim)
                control.after_row(row)
                row += 1
            store.release()
            summary = worker.summary()
        exposed = {int(one["number"]): (one["x_um"], one["y_um"]) for one in twin.world.exposures()}
    with closing(RunStore(tmp_path / "run")) as again:
        attempts = [attempt for _, attempt in again.journal.attempts()]
        really = [PlannedTile(a.tile, a.row, a.col, *exposed[a.camera_frame]) for a in attempts if a.camera_frame]
        known = again.field_as_measured()
        planned, measured = mean_overlap(again.tiles(), 1, known), mean_overlap(really, 1, true)
        assert "overlap_corrected" in [event.kind for event in again.journal.events()]
    assert measured == pytest.approx(planned, abs=0.01)  # of a field: what the issue asks for
    assert min(part for part in measured if part is not None) > 0.24
    # the scale is known to a part in 400 then, and the turn to as much; the mosaic is some 1200 px wide
    assert known.pixel_size_um == pytest.approx(true.pixel_size_um, rel=0.0025)
    assert known.turn[1, 0] == pytest.approx(true.turn[1, 0], abs=0.0025)
    assert summary["mosaic"]["pixel_size_nm"] == pytest.approx(known.pixel_size_um * 1000)
    assert summary["truth"]["position_error_px_max"] < 3.0
