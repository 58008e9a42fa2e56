"""Line mode: the geometry of a sweep, and the engine's way with rows of tiles, on stand-ins."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import zarr

from acquisition.engine import Watcher, run
from acquisition.field import Field
from acquisition.instructions import Instructions
from acquisition.plan import Plan, PlanError
from acquisition.preflight import cost, inabilities, sweep_problems
from acquisition.run_store import RunStore
from acquisition.states import Outcome, State
from acquisition.summary import run_facts
from acquisition.sweeps import line_scan, middle_s, sweep_along, sweep_speed_um_per_s
from devices.errors import DeviceTimeout, FramesLost, OutOfRange, Stopped
from devices.protocols import Sweep
from devices.settings import PiGcsSettings

NewStore = Callable[..., RunStore]
FIELD = Field((24, 32), 0.1)
LINE = {"tiles": {"mode": "line"}}
RUN_UP_UM = 5.0


def plan(**changes: Any) -> Plan:
    region = {"x_um": (20.0, 27.0), "y_um": (30.0, 34.0)}
    return Plan.model_validate({"region": region, "tiles": {"mode": "line"}} | changes)


class Sweeping:
    """What a line scanner adds to the stand-in: it notes its sweeps and was exactly where it was told to be."""

    def __init__(self, scanner: Any, camera: Any) -> None:
        self._scanner = scanner
        self._camera = camera
        self.sweeps: list[Sweep] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scanner, name)

    def sweep_ends_um(self, sweep: Sweep) -> tuple[float, float]:
        return sweep.from_um - RUN_UP_UM, sweep.to_um + RUN_UP_UM

    def start_sweep(self, sweep: Sweep) -> None:
        assert self._camera.armed == len(sweep.trigger_at_um), "the camera is armed before the first trigger"
        self.sweeps.append(sweep)

    def wait_swept(self) -> None: ...

    def read_swept_um(self, delay_s: float = 0.0) -> list[dict[str, float]]:
        sweep, y_um = self.sweeps[-1], self._scanner.moves[-1]["y"]
        way_um = delay_s * sweep.speed_um_per_s
        return [{"x": at_um + way_um, "y": y_um, "z": 0.0} for at_um in sweep.trigger_at_um]


@pytest.fixture
def sweeping_rig(rig: Any) -> Any:
    camera = rig.camera
    camera.armed = 0

    def start_sequence(frames: int, triggered: bool = False, interval_s: float = 0.0) -> None:
        camera.armed = frames if triggered else 0

    camera.start_sequence = start_sequence
    rig.scanner = Sweeping(rig.scanner, camera)
    return rig


def test_each_tile_is_under_the_camera_in_the_middle_of_its_exposure() -> None:
    row_um = [20.0, 23.0, 26.0, 29.0]
    sweep = sweep_along(row_um, plan(camera={"exposure_ms": 10}), pixel_size_um=0.1, middle_s=0.006)
    half_way_um = sweep.speed_um_per_s * 0.006
    assert [at_um + half_way_um for at_um in sweep.trigger_at_um] == pytest.approx(row_um)
    assert sweep.from_um == pytest.approx(sweep.trigger_at_um[0])
    assert sweep.to_um == pytest.approx(sweep.trigger_at_um[-1] + 2 * half_way_um)


def test_a_rolling_shutter_shows_its_frame_later() -> None:
    assert middle_s(exposure_s=0.010, skew_s=0.004) == pytest.approx(0.007)


def test_the_sweep_blurs_no_more_than_the_plan_allows() -> None:
    speed = sweep_speed_um_per_s(plan(tiles={"mode": "line", "line_blur_px": 0.25}), pixel_size_um=0.1, step_um=2.0)
    assert speed * 0.020 == pytest.approx(0.25 * 0.1)


def test_a_sweep_leaves_the_camera_time_to_read_out() -> None:
    fast = plan(tiles={"mode": "line", "line_blur_px": 10.0}, camera={"exposure_ms": 1})
    speed = sweep_speed_um_per_s(fast, pixel_size_um=0.1, step_um=2.0)
    assert 2.0 / speed >= 0.020


def test_takes_every_row_in_one_sweep_from_left_to_right(new_store: NewStore, sweeping_rig: Any) -> None:
    store = new_store(**LINE)
    assert run(store, sweeping_rig, Instructions()) is Outcome.COMPLETED
    done = [attempt for _, attempt in store.journal.attempts()]
    assert [(attempt.row, attempt.col) for attempt in done] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert [attempt.actual_x_um for attempt in done] == pytest.approx([attempt.target_x_um for attempt in done])
    frames = zarr.open_array(store.path / "raw.zarr", mode="r")
    assert [int(frames[attempt.frame].max()) for attempt in done] == [1, 2, 3, 4, 5, 6]
    assert len(sweeping_rig.scanner.sweeps) == 2


def test_a_sweep_is_no_overhead_of_its_tiles(new_store: NewStore, sweeping_rig: Any) -> None:
    sweep_s = 0.6
    sweeping_rig.scanner.wait_swept = lambda: time.sleep(sweep_s)
    store = new_store(**LINE)
    run(store, sweeping_rig, Instructions())
    spent: Any = run_facts(store)["time"]
    assert spent["physics_s"] >= 2 * sweep_s
    assert 0 <= spent["overhead_ms_p50"] < 1000 * sweep_s / 3 / 2  # half of a tile's share of the sweep


def test_comes_to_every_sweep_from_the_left(new_store: NewStore, sweeping_rig: Any) -> None:
    run(new_store(**LINE), sweeping_rig, Instructions())
    moves_um = [move["x"] for move in sweeping_rig.scanner.moves if "x" in move]
    begins_um = [sweeping_rig.scanner.sweep_ends_um(sweep)[0] for sweep in sweeping_rig.scanner.sweeps]
    assert moves_um[-1] == pytest.approx(begins_um[-1] - 1.0)
    assert sum(x_um == pytest.approx(begins_um[0] - 1.0) for x_um in moves_um) == len(begins_um)


def test_a_sweep_with_a_lost_frame_counts_for_nothing_and_is_stepped_through(
    new_store: NewStore, sweeping_rig: Any
) -> None:
    store = new_store(**LINE)

    def lose_the_second() -> None:
        if sweeping_rig.camera.snaps == 1:
            sweeping_rig.camera.before_snap = lambda: None
            raise FramesLost("camera", "a frame is missing", 1)

    sweeping_rig.camera.before_snap = lose_the_second
    assert run(store, sweeping_rig, Instructions()) is Outcome.COMPLETED
    verdicts = [(attempt.tile, attempt.verdict) for _, attempt in store.journal.attempts()]
    assert verdicts[:6] == [(0, "retry"), (1, "retry"), (2, "retry"), (0, "ok"), (1, "ok"), (2, "ok")]
    assert len(sweeping_rig.scanner.sweeps) == 2, "the second row is swept again"


def tried(store: RunStore) -> list[tuple[int, str]]:
    return [(attempt.tile, attempt.verdict) for _, attempt in store.journal.attempts()]


def test_a_sweep_that_is_skipped_is_stepped_through_and_the_next_skip_means_a_tile(
    new_store: NewStore, sweeping_rig: Any
) -> None:
    store, told, camera = new_store(**LINE), Instructions(), sweeping_rig.camera
    skips_at = [1, 2]  # frames that are there already: in the sweep, and when the first tile of it has been taken again

    def skip() -> None:
        if skips_at and camera.snaps == skips_at[0]:
            del skips_at[0]
            told.skip("it hangs")
            raise Stopped("camera", "stopped")

    camera.before_snap = skip
    assert run(store, sweeping_rig, told) is Outcome.COMPLETED
    assert tried(store) == [(0, "ok"), (1, "skipped"), (2, "ok"), (3, "ok"), (4, "ok"), (5, "ok")]


def test_a_skip_that_comes_too_late_for_a_sweep_has_it_stepped_through(new_store: NewStore, sweeping_rig: Any) -> None:
    store, told = new_store(**LINE), Instructions()

    def skip() -> None:
        if sweeping_rig.camera.snaps == 2:
            sweeping_rig.camera.before_snap = lambda: None
            told.skip("dirt")

    sweeping_rig.camera.before_snap = skip
    assert run(store, sweeping_rig, told) is Outcome.COMPLETED
    assert tried(store)[:6] == [(0, "retry"), (1, "retry"), (2, "retry"), (0, "ok"), (1, "ok"), (2, "ok")]


def test_a_skip_while_paused_gives_up_the_first_tile_of_the_next_sweep(new_store: NewStore, sweeping_rig: Any) -> None:
    store, told = new_store(**LINE), Instructions()
    told.pause("now")
    told.skip("dirt")

    def go_on(state: State) -> None:
        if state is State.PAUSED:
            told.resume()

    assert run(store, sweeping_rig, told, Watcher(state=go_on)) is Outcome.COMPLETED
    assert tried(store) == [(0, "skipped"), (1, "ok"), (2, "ok"), (3, "ok"), (4, "ok"), (5, "ok")]
    assert len(sweeping_rig.scanner.sweeps) == 2


def test_a_failed_sweep_stops_the_scanner_and_the_camera(new_store: NewStore, sweeping_rig: Any) -> None:
    store = new_store(**LINE, on_failure={"timeout": "abort"})
    stopped: list[str] = []
    sweeping_rig.camera.stop = lambda: stopped.append("camera")

    def fail() -> None:
        raise DeviceTimeout("camera", "no frame")

    sweeping_rig.camera.before_snap = fail
    with pytest.raises(DeviceTimeout):
        run(store, sweeping_rig, Instructions())
    assert stopped
    assert sweeping_rig.scanner.stops
    assert [attempt.verdict for _, attempt in store.journal.attempts()] == ["failed"]


def test_a_line_plan_says_how_long_it_takes() -> None:
    slow = plan(camera={"exposure_ms": 100})
    sweep_s = 0.1 + (7.0 - 3.2) / (0.5 * 0.1 / 0.1)
    assert cost(slow, FIELD).duration_s == pytest.approx(2 * (sweep_s + 0.5))


def test_a_bug_in_a_sweep_stops_the_scanner_too(sweeping_rig: Any) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    sweeping_rig.camera.before_snap = fail
    sweep = Sweep("x", 20.0, 30.0, 10.0, (20.0,))
    with pytest.raises(ZeroDivisionError):
        line_scan(sweeping_rig, 30.0, sweep, 0.01)
    assert sweeping_rig.scanner.stops == 1


def test_a_stop_breaks_off_the_sweep_and_counts_nothing_against_its_tiles(
    new_store: NewStore, sweeping_rig: Any
) -> None:
    store = new_store(**LINE)
    told, camera_stopped = Instructions(), threading.Event()
    sweeping_rig.camera.stop = camera_stopped.set

    def wait_for_a_trigger() -> None:
        if sweeping_rig.camera.snaps == 1:
            told.stop()
            assert camera_stopped.wait(10.0), "nobody stops the sweep"
            raise Stopped("camera", "stopped")

    sweeping_rig.camera.before_snap = wait_for_a_trigger
    assert run(store, sweeping_rig, told) is Outcome.STOPPED
    assert sweeping_rig.scanner.stops
    assert store.journal.attempts() == []


def test_somebody_else_s_stop_is_a_failure_of_the_sweep(new_store: NewStore, sweeping_rig: Any) -> None:
    store = new_store(**LINE, on_failure={"rejected": "abort"})

    def stop() -> None:
        raise Stopped("camera", "stopped")

    sweeping_rig.camera.before_snap = stop
    with pytest.raises(Stopped):
        run(store, sweeping_rig, Instructions())
    assert [attempt.verdict for _, attempt in store.journal.attempts()] == ["failed"]


def test_refuses_a_scanner_that_cannot_sweep(rig: Any) -> None:
    assert "cannot sweep" in inabilities(plan(), FIELD, rig.scanner, rig.camera)[0]
    assert inabilities(plan(tiles={"mode": "step"}), FIELD, rig.scanner, rig.camera) == []


@pytest.mark.parametrize("x_um", [(3.0, 20.0), (80.0, 97.0)])
def test_refuses_a_sweep_whose_run_up_leaves_the_travel(sweeping_rig: Any, x_um: tuple[float, float]) -> None:
    near = plan(region={"x_um": x_um, "y_um": (30.0, 34.0)})
    (found,) = inabilities(near, FIELD, sweeping_rig.scanner, sweeping_rig.camera)
    assert all(words in found for words in ("run-up", "axis x", "0..100 um"))


def test_has_nothing_against_a_sweep_with_room_for_its_run_up(sweeping_rig: Any) -> None:
    assert inabilities(plan(), FIELD, sweeping_rig.scanner, sweeping_rig.camera) == []


def test_a_row_of_one_tile_needs_no_run_up(sweeping_rig: Any) -> None:
    single = plan(region={"x_um": (0.0, 3.0), "y_um": (30.0, 34.0)})
    assert inabilities(single, FIELD, sweeping_rig.scanner, sweeping_rig.camera) == []


def test_refuses_a_sweep_that_the_scanner_refuses(sweeping_rig: Any) -> None:
    def too_fast(sweep: Sweep) -> tuple[float, float]:
        raise OutOfRange("scanner", "x goes 1 um/s, not 2 um/s")

    sweeping_rig.scanner.sweep_ends_um = too_fast
    (found,) = inabilities(plan(), FIELD, sweeping_rig.scanner, sweeping_rig.camera)
    assert "x goes 1 um/s" in found


def test_without_a_rig_the_limits_that_are_known_are_kept() -> None:
    near = plan(region={"x_um": (3.0, 20.0), "y_um": (30.0, 34.0)})
    settings = PiGcsSettings.model_validate({"host": "h", "axes": {"x": "1", "y": "2"}, "lag_s": 1.0})
    assert sweep_problems(near, {"x": (0.0, 100.0)}, FIELD, 0.0, settings.sweep_ends_um)
    assert sweep_problems(near, {}, FIELD, 0.0, settings.sweep_ends_um) == []


def test_refuses_a_spiral_of_lines(tmp_path: Any) -> None:
    path = tmp_path / "plan.toml"
    path.write_text('region = { x_um = [0, 1], y_um = [0, 1] }\ntiles = { mode = "line", order = "spiral" }')
    with pytest.raises(PlanError, match="'spiral' has none"):
        Plan.load(path)
