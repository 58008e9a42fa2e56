"""How the scanner moves, and how far it lies."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from hardware_sim.approach import Approach
from hardware_sim.chance import Stream, generator
from hardware_sim.clock import ManualClock
from hardware_sim.mechanics import RepeatableLanding, Scanner, WanderingLanding
from hardware_sim.settings import MechanicsSettings

PIXEL_UM = 0.02
EXACT = MechanicsSettings(position_error_px_rms=0.0, backlash_px=0.0, drift_nm_per_min=0.0, sensor_noise_nm=0.0)


class Bench:
    """A scanner on a clock that the test drives."""

    def __init__(self, settings: MechanicsSettings, keyed: bool = False, seed: int = 3) -> None:
        axis_rms_um = settings.position_error_px_rms * PIXEL_UM / math.sqrt(2)
        wandering = WanderingLanding(axis_rms_um, generator(seed, Stream.LANDING))
        landing = RepeatableLanding(axis_rms_um, seed) if keyed else wandering
        self.clock = ManualClock()
        self.scanner = Scanner(settings, PIXEL_UM, self.clock, seed, landing)

    def go(self, **targets_um: float) -> None:
        self.scanner.move({"xyz".index(axis): target_um for axis, target_um in targets_um.items()})
        self.clock.advance(0.5)

    def error_px(self) -> np.ndarray:
        now_s = self.clock.now_s()
        return (self.scanner.true_um(now_s) - self.scanner.reported_um(now_s))[:2] / PIXEL_UM


def test_an_approach_slews_then_closes_in_and_arrives_exactly() -> None:
    move = Approach(2.0, 10.0, 60.0, slew_um_per_s=5000.0, time_constant_s=0.003, tolerance_um=0.005)
    assert move.position_um(2.0) == 10.0
    assert move.position_um(2.005) == pytest.approx(35.0)  # 25 um at 5 mm/s
    assert 60.0 - move.position_um(move.within_tolerance_s) == pytest.approx(0.005)
    assert move.position_um(move.arrives_s) == 60.0
    # 35 um of slewing, then 15 um shrink to 5 nm, then one time constant
    assert move.arrives_s - 2.0 == pytest.approx(0.007 + 0.003 * math.log(15 / 0.005) + 0.003)


@pytest.mark.parametrize("distance_um", [1e-6, 0.004, 0.1, 8.0, -30.0])
@pytest.mark.parametrize("slew_um_per_s", [0.5, 5000.0])
def test_an_approach_never_jumps_nor_turns_back(distance_um: float, slew_um_per_s: float) -> None:
    move = Approach(0.0, 50.0, 50.0 + distance_um, slew_um_per_s, 0.003, 0.005)
    times_s = np.linspace(0.0, move.arrives_s * 1.1, 4000)
    progress = np.array([move.progress(float(time_s)) for time_s in times_s])
    steps_um = np.diff(progress) * abs(distance_um)
    assert progress[0] == 0.0
    assert progress[-1] == 1.0
    assert steps_um.min() >= -1e-12
    assert steps_um.max() <= 1.01 * slew_um_per_s * (times_s[1] - times_s[0])


def test_a_new_target_is_headed_for_from_where_the_stage_is() -> None:
    bench = Bench(EXACT)
    bench.scanner.move({0: 50.0})
    bench.clock.advance(0.004)
    before_um = bench.scanner.reported_um(bench.clock.now_s())[0]
    bench.scanner.move({0: 0.0})
    assert bench.scanner.reported_um(bench.clock.now_s())[0] == pytest.approx(before_um)
    assert 15 < before_um < 25
    assert not bench.scanner.is_on_target(0)
    bench.clock.advance(0.5)
    assert bench.scanner.is_on_target(0)
    assert bench.scanner.reported_um(bench.clock.now_s())[0] == 0.0


def test_whoever_is_called_on_target_stands_still() -> None:
    bench = Bench(EXACT)
    bench.scanner.move({0: 8.0, 2: 3.0})
    while not (bench.scanner.is_on_target(0) and bench.scanner.is_on_target(2)):
        bench.clock.advance(0.0001)
    assert bench.clock.now_s() < 0.04  # 8 um settle in a few tens of ms
    assert bench.scanner.reported_um(bench.clock.now_s()).tolist() == [8.0, 0.0, 3.0]


def landings_px(bench: Bench, moves: int) -> Iterator[np.ndarray]:
    random = np.random.default_rng(5)
    for _ in range(moves):
        x_um, y_um = random.uniform(0.0, 100.0, 2)
        bench.go(x=x_um, y=y_um)
        yield bench.error_px()


def test_moves_land_three_pixels_off_and_do_not_wander() -> None:
    errors_px = np.array(list(landings_px(Bench(EXACT.model_copy(update={"position_error_px_rms": 3.0})), 3000)))
    rms_px = math.sqrt((errors_px**2).sum(axis=1).mean())
    assert rms_px == pytest.approx(3.0, rel=0.04)  # 3000 pairs of values: about 1.3 % of statistical error
    assert np.abs(errors_px.mean(axis=0)).max() < 0.01  # errors cancel; independent ones would give 0.04
    neighbours = (errors_px[1:] * errors_px[:-1]).mean() / (errors_px**2).mean()
    assert neighbours == pytest.approx(-0.5, abs=0.05)


def test_a_keyed_landing_depends_on_the_target_only() -> None:
    settings = EXACT.model_copy(update={"position_error_px_rms": 3.0})
    direct, detour = Bench(settings, keyed=True), Bench(settings, keyed=True)
    direct.go(x=30.0, y=40.0)
    for x_um in (10.0, 90.0, 5.0):
        detour.go(x=x_um)
    detour.go(x=30.0, y=40.0)
    assert direct.error_px().any()
    assert direct.error_px().tolist() == detour.error_px().tolist()


def test_moving_only_the_height_leaves_the_landing_alone() -> None:
    bench = Bench(EXACT.model_copy(update={"position_error_px_rms": 3.0}))
    bench.go(x=30.0, y=40.0)
    before_px = bench.error_px()
    bench.go(z=5.0)
    assert bench.error_px() == pytest.approx(before_px)


def test_backlash_shows_after_moving_downwards_and_is_remembered() -> None:
    bench = Bench(EXACT.model_copy(update={"backlash_px": 6.0}))
    bench.go(x=50.0, y=50.0)
    assert bench.error_px() == pytest.approx([0.0, 0.0])
    bench.go(x=40.0)
    assert bench.error_px() == pytest.approx([6.0, 0.0])
    bench.go(y=40.0)
    assert bench.error_px() == pytest.approx([6.0, 6.0])
    bench.go(x=41.0)
    assert bench.error_px() == pytest.approx([0.0, 6.0])


def test_errors_come_in_with_the_motion() -> None:
    bench = Bench(EXACT.model_copy(update={"backlash_px": 6.0}))
    bench.go(x=50.0)
    bench.scanner.move({0: 40.0})
    assert bench.error_px()[0] == pytest.approx(0.0)
    bench.clock.advance(0.003 * math.log(2))  # 10 um at a knee of 15 um: exponential from the start
    assert bench.error_px()[0] == pytest.approx(3.0)


def test_the_specimen_drifts_steadily() -> None:
    bench = Bench(EXACT.model_copy(update={"drift_nm_per_min": 5.0}))
    bench.clock.advance(600.0)
    assert np.hypot(*bench.error_px()) * PIXEL_UM == pytest.approx(0.050)


def test_the_sensor_is_noisy_by_less_than_half_a_nanometre() -> None:
    bench = Bench(EXACT.model_copy(update={"sensor_noise_nm": 0.4}))
    readings_um = np.array([bench.scanner.sensed_um() for _ in range(2000)])
    assert readings_um.std(axis=0) * 1000 == pytest.approx([0.4] * 3, rel=0.08)


def test_a_stop_freezes_one_axis_and_lets_the_other_go_on() -> None:
    bench = Bench(EXACT)
    bench.scanner.set_slew(0, 10.0)
    bench.scanner.set_slew(1, 10.0)
    bench.scanner.move({0: 50.0, 1: 50.0})
    bench.clock.advance(1.0)
    bench.scanner.stop([0])
    bench.clock.advance(60.0)
    assert bench.scanner.reported_um(bench.clock.now_s())[:2] == pytest.approx([10.0, 50.0])
