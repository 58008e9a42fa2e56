"""The gate before a run: every reason at once, what is doubtful apart from it, and no cry of wolf."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acquisition import readiness
from acquisition.clock_check import Clocks
from acquisition.disk_trial import Trial, try_disk
from acquisition.plan import Plan
from acquisition.preflight import BYTES_PER_PIXEL, MOSAIC_SHARE
from acquisition.readiness import Findings, InterlocksStand
from api.twin import Twin, running_twin
from devices.errors import DeviceRejected, DeviceTimeout
from devices.rig import Rig, RigSettings, open_rig
from devices.rig_lock import RigInUse, holding

GOOD_CLOCKS = Clocks(lost_its_service=lambda: False)
TILES = 12


def check(
    plan: Plan, settings: RigSettings, out: Path, rig: Rig | None = None, clocks: Clocks = GOOD_CLOCKS
) -> Findings:
    return readiness.check(plan, settings, out, rig, clocks)


def plan(**changes: Any) -> Plan:
    return Plan.model_validate({"region": {"x_um": (20, 50), "y_um": (20, 44)}} | changes)


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with running_twin(["--world", "lab", "--seed", "5"]) as running:
        yield running


@pytest.fixture(scope="module")
def settings(twin: Twin) -> RigSettings:
    """Of a rig that was calibrated a moment ago."""
    loaded = RigSettings.load(twin.rig)
    calibration = loaded.calibration.model_copy(update={"measured_at": datetime.now(UTC)})
    return loaded.model_copy(update={"calibration": calibration})


@pytest.fixture(scope="module")
def rig(settings: RigSettings) -> Iterator[Rig]:
    with open_rig(settings, leave_out=("video",)) as opened:
        yield opened


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tiles": {"mode": "line"}},
        {"tiles": {"fit": "roi"}},
        {"region": {"x_um": (0, 100), "y_um": (0, 100)}},
        {"camera": {"exposure_ms": 5}, "focus": {"policy": "row"}, "drift": {"policy": "anchor"}},
        {"force": {"policy": "hover"}},
    ],
)
def test_has_nothing_against_a_good_plan_on_a_good_rig(
    rig: Rig, settings: RigSettings, tmp_path: Path, changes: dict[str, Any]
) -> None:
    for opened in (None, rig):
        found = check(plan(**changes), settings, tmp_path / "run", opened)
        assert (found.problems, found.warnings) == ([], [])
        assert found.cost is not None
    assert list(tmp_path.iterdir()) == []


def test_a_lost_answer_now_and_then_is_no_reason(
    rig: Rig, settings: RigSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rig.force is not None
    read, answers = rig.force.read_force_nn, iter(range(100))

    def sometimes() -> float:
        if next(answers) == 0:
            raise DeviceTimeout("force", "no answer")
        return read()

    monkeypatch.setattr(rig.force, "read_force_nn", sometimes)
    assert check(plan(), settings, tmp_path / "run", rig).problems == []


def test_tells_every_reason_at_once(
    rig: Rig, settings: RigSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old").write_text("a run")

    def fail(*_: Any) -> Any:
        raise DeviceTimeout("camera", "no frame")

    monkeypatch.setattr(rig.camera, "snap", fail)
    door = {"name": "door", "signal": {"kind": "file", "path": str(tmp_path / "old")}, "other_than": "shut"}
    locked = RigSettings.model_validate(settings.model_dump(mode="json") | {"interlocks": [door]})
    wanted = plan(region={"x_um": (90, 130), "y_um": (-5, 20)}, force={"policy": "hover", "limit_nn": 1e6})
    found = check(wanted, locked, tmp_path, rig)
    words = ("output folder", "region.x_um", "region.y_um", "limit_nn", "interlock door", "camera: no frame")
    with pytest.raises(InterlocksStand) as refusal:
        found.refuse()
    assert [word for word in words if not any(word in reason for reason in refusal.value.reasons)] == []
    assert found.cost is None


def test_a_region_out_of_reach_hides_neither_anchor_nor_disk(
    rig: Rig, settings: RigSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, 10**6, Trial(1.0, 1e6))
    wanted = plan(region={"x_um": (90, 130), "y_um": (0, 100)}, drift={"policy": "anchor", "anchor_um": (500, 3)})
    for opened in (None, rig):
        found = check(wanted, settings, tmp_path / "run", opened)
        for word in ("region.x_um", "drift.anchor_um", "disk: the run needs"):
            assert [word in problem for problem in found.problems].count(True) == 1


def test_an_anchor_out_of_reach_does_not_hide_a_full_disk(
    rig: Rig, settings: RigSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, 10**6, Trial(1.0, 1e6))
    anchored = plan(drift={"policy": "anchor", "anchor_um": (500, 3)})
    found = " ".join(check(anchored, settings, tmp_path / "run", rig).problems)
    assert "drift.anchor_um" in found
    assert "disk: the run needs" in found


def test_refuses_an_exposure_that_the_camera_refuses(
    rig: Rig, settings: RigSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(exposure_s: float) -> None:
        raise DeviceRejected("camera", "too long")

    monkeypatch.setattr(rig.camera, "set_exposure_s", refuse)
    (problem,) = check(plan(camera={"exposure_ms": 9000}), settings, tmp_path / "run", rig).problems
    assert "camera.exposure_ms = 9000: camera: too long" in problem


def test_refuses_a_longer_exposure_that_the_camera_refuses(
    rig: Rig, settings: RigSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(exposure_s: float) -> None:
        if exposure_s > 1:
            raise DeviceRejected("camera", "exposure: 1500 ms is outside 0.5..1000 ms")

    monkeypatch.setattr(rig.camera, "set_exposure_s", refuse)
    wish = {"quality": {"policy": "retake", "doubtful_exposure": 5}, "reconstruction": {"model": "nlm"}}
    (problem,) = check(plan(camera={"exposure_ms": 300}, **wish), settings, tmp_path / "run", rig).problems
    assert problem == "quality.doubtful_exposure = 5: camera: exposure: 1500 ms is outside 0.5..1000 ms"


def test_an_old_calibration_is_a_warning(settings: RigSettings, tmp_path: Path) -> None:
    calibration = settings.calibration.model_copy(update={"measured_at": datetime(2026, 1, 1, tzinfo=UTC)})
    found = check(plan(), settings.model_copy(update={"calibration": calibration}), tmp_path / "run")
    assert found.problems == []
    assert "calibration" in found.warnings[0]


def test_a_first_tile_at_the_end_of_the_travel_is_a_warning_where_there_is_backlash(
    settings: RigSettings, tmp_path: Path
) -> None:
    tiny = settings.model_copy(update={"calibration": settings.calibration.model_copy(update={"pixel_size_um": 0.001})})
    (warning,) = check(plan(region={"x_um": (0, 2), "y_um": (20, 22)}), tiny, tmp_path / "run").warnings
    assert "backlash" in warning
    assert "region.x_um" in warning


def use(monkeypatch: pytest.MonkeyPatch, free_bytes: int, trial: Trial) -> None:
    """Put another disk under the gate."""
    usage = type("Usage", (), {"free": free_bytes, "total": 10**13})
    monkeypatch.setattr("acquisition.readiness.shutil.disk_usage", lambda folder: usage)
    monkeypatch.setattr("acquisition.readiness.try_disk", lambda folder, frames, compression: trial)


def needed_bytes(settings: RigSettings, stored_part: float) -> float:
    rows, columns = settings.calibration.frame_shape_px
    return TILES * rows * columns * BYTES_PER_PIXEL * (stored_part + MOSAIC_SHARE)


@pytest.mark.parametrize(
    ("free", "problems", "warnings"), [(0.95, 1, 0), (1.1, 0, 1), (1.5, 0, 0)], ids=["full", "nearly full", "free"]
)
def test_judges_the_disk_by_what_frames_of_this_rig_take_there(
    rig: Rig,
    settings: RigSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    free: float,
    problems: int,
    warnings: int,
) -> None:
    disk = {"name": "disk", "signal": {"kind": "disk_free_gb"}, "below": 0.0}
    own = RigSettings.model_validate(settings.model_dump(mode="json") | {"interlocks": [disk]})
    use(monkeypatch, round(free * needed_bytes(settings, 0.5)), Trial(0.5, 1e6))
    found = check(plan(), own, tmp_path / "run", rig)
    assert (len(found.problems), len(found.warnings)) == (problems, warnings)
    assert found.cost is not None
    assert found.cost.tiles == TILES
    assert found.cost.disk_bytes == pytest.approx(needed_bytes(settings, 0.5))


def test_a_disk_that_is_slower_than_the_scan_is_a_warning(
    rig: Rig, settings: RigSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, 10**12, Trial(0.5, frames_per_s=2.0))
    (warning,) = check(plan(), settings, tmp_path / "run", rig).warnings
    assert "disk: it takes 2 frames a second" in warning


def test_a_disk_that_cannot_be_written_is_a_reason(
    rig: Rig, settings: RigSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(folder: Path, frames: Any, compression: str) -> Trial:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("acquisition.readiness.try_disk", read_only)
    (problem,) = check(plan(), settings, tmp_path / "run", rig).problems
    assert "cannot be written: Read-only file system" in problem


def test_the_trial_tells_what_compresses_from_what_does_not(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 65536, (256, 256), dtype=np.uint16)
    empty = np.zeros((256, 256), np.uint16)
    assert try_disk(tmp_path / "run", [noise], "lz4").stored_part == pytest.approx(1.0, abs=0.01)  # blosc adds 16 bytes
    assert try_disk(tmp_path / "run", [empty], "lz4").stored_part < 0.05
    assert try_disk(tmp_path / "run", [empty], "none").stored_part == pytest.approx(1.0, abs=0.01)
    assert list(tmp_path.iterdir()) == []


def test_no_frames_no_trial_but_the_devices_own_reason(
    rig: Rig, settings: RigSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Any:
        raise DeviceTimeout("camera", "no frame")

    monkeypatch.setattr(rig.camera, "snap", fail)
    assert check(plan(), settings, tmp_path / "run", rig).problems == ["camera: no frame"]


def counting(*times_s: float) -> Callable[[], float]:
    times = iter(times_s)
    return lambda: next(times)


@pytest.mark.parametrize(
    ("clocks", "words"),
    [
        (Clocks(wall=lambda: 86400.0, monotonic=lambda: 0.0, lost_its_service=lambda: False), "the year 1970"),
        (
            Clocks(counting(1.8e9, 1.8e9 + 3601, 1.8e9 + 3601), counting(0.0, 1.0), lambda: False),
            "turned by +3600.0 s",
        ),
        (Clocks(lost_its_service=lambda: True), "has not found the time"),
    ],
)
def test_a_clock_that_cannot_be_believed_is_a_warning(
    settings: RigSettings, tmp_path: Path, clocks: Clocks, words: str
) -> None:
    found = check(plan(), settings, tmp_path / "run", clocks=clocks)
    assert found.problems == []
    assert words in found.warnings[-1]


def test_the_estimate_counts_what_is_done_on_each_tile(settings: RigSettings, tmp_path: Path) -> None:
    def duration_s(**changes: Any) -> float:
        found = check(plan(**changes), settings, tmp_path / "run")
        assert found.cost is not None
        return found.cost.duration_s

    assert duration_s(tiles={"dwell_s": 2.0}) == pytest.approx(duration_s() + 2.0 * TILES)
    assert duration_s(focus={"policy": "tile"}) > duration_s(focus={"policy": "row"}) > duration_s()
    assert duration_s(force={"policy": "hover"}) > duration_s(force={"policy": "contact"}) > duration_s()


def test_a_rig_has_one_user_at_a_time(settings: RigSettings) -> None:
    with holding(settings), pytest.raises(RigInUse, match="process"), holding(settings):
        pass
    with holding(settings):
        pass
