"""Waves of any length, against a loop that is integrated step by step."""

import math

import numpy as np
import pytest

from hardware_sim.approach import Approach
from hardware_sim.wave import Wave
from hardware_sim.wave_course import Course
from hardware_sim.wave_play import Play
from tests.hardware_sim.stage_bench import Bench

CONSTANT_S = 0.003
FINE_S = 2e-6
"""Step of the integration; it is off by half of it in time, so by less than 0.1 um at the speeds here."""


def wave(course: Course, slew_um_per_s: float = 5000.0, start_um: float = 0.0) -> Wave:
    return Wave(course, 0.0, Approach(0.0, start_um, course.last_um, slew_um_per_s, CONSTANT_S, 0.1))


def integrated_um(course: Course, slew_um_per_s: float, start_um: float, times_s: np.ndarray) -> np.ndarray:
    """Follow the points of a course of one cycle after the other in small steps."""
    count = int(times_s[-1] / FINE_S) + 2
    places = np.arange(count) * FINE_S / course.step_s
    number = np.floor(places + 1e-9).astype(int)
    last = len(course.points_um) * course.cycles - 1
    points_um = (
        course.points_um[np.arange(number[-1] + 2) % len(course.points_um)]
        + np.arange(number[-1] + 2) // len(course.points_um) * course.shift_um
    )
    if course.is_straight:
        targets_um = np.interp(np.minimum(places, last), np.arange(len(points_um)), points_um)
    else:
        targets_um = points_um[np.minimum(number, last).astype(int)]
    here_um, way = start_um, []
    for target_um in targets_um.tolist():
        way.append(here_um)
        speed = (target_um - here_um) / CONSTANT_S
        here_um += FINE_S * min(max(speed, -slew_um_per_s), slew_um_per_s)
    return np.interp(times_s, np.arange(count) * FINE_S, way)


POINTS_UM = np.array([10.0, 12.0, 11.0, 15.0, 15.0, 9.0, 10.5])


@pytest.mark.parametrize("is_straight", [False, True])
@pytest.mark.parametrize("slew_um_per_s", [5000.0, 300.0])
@pytest.mark.parametrize("step_s", [0.0005, 0.004])
@pytest.mark.parametrize("shift_um", [0.0, 0.5])
def test_a_wave_goes_as_a_loop_that_is_integrated(
    is_straight: bool, slew_um_per_s: float, step_s: float, shift_um: float
) -> None:
    course = Course(POINTS_UM, step_s, is_straight, cycles=9, shift_um=shift_um)
    times_s = np.linspace(0.0, course.stands_from_s, 3001)
    expected_um = integrated_um(course, slew_um_per_s, 8.0, times_s)
    # what an explicit step of 2 us is off, at 2000 um/s and less
    assert wave(course, slew_um_per_s, 8.0).positions_um(times_s) == pytest.approx(expected_um, abs=0.005)


def test_an_endless_wave_repeats_from_its_first_cycles_to_its_millionth() -> None:
    times_s = np.linspace(0.0, 0.2, 501)
    course = Course(POINTS_UM, 0.001, is_straight=True, cycles=math.inf)
    early_um, late_um = (wave(course).positions_um(times_s + 0.007 * cycle) for cycle in (60, 1_000_000))
    assert late_um == pytest.approx(early_um, abs=1e-6)  # 7000 s in floats of 64 bits, at 4000 um/s


def test_a_wave_of_a_thousand_seconds_is_late_by_its_lag_everywhere() -> None:
    course = Course(np.linspace(0.0, 100.0, 4096), 1000.0 / 4096, is_straight=True)
    times_s = np.array([0.1, 1.0, 123.4, 499.0, 999.0])
    speed_um_per_s = 100.0 / (4095 * course.step_s)
    assert wave(course).positions_um(times_s) == pytest.approx(speed_um_per_s * (times_s - CONSTANT_S), abs=1e-9)


def test_an_axis_that_begins_far_away_slews_through_whole_cycles_until_it_catches_up() -> None:
    course = Course(np.array([50.0, 51.0]), 0.001, cycles=math.inf)
    late = wave(course, slew_um_per_s=10.0)
    assert late.positions_um(np.array([2.0, 4.0, 4.9])) == pytest.approx([20.0, 40.0, 49.0], abs=1e-6)
    assert late.positions_um(np.array([100.0])) == pytest.approx(50.5, abs=0.5)


def test_a_wave_joined_in_the_middle_of_a_long_piece_goes_on_in_time() -> None:
    course = Course(np.array([0.0, 10.0, 20.0]), 5.0, is_straight=True)
    joined = wave(course).resumed(6.5, 2.0)
    assert joined.targets_um(np.array([6.5, 8.0])) == pytest.approx([13.0, 16.0])
    times_s = np.array([6.5, 6.503, 8.0])
    error_um = 2.0 * CONSTANT_S + (11.0 - 2.0 * CONSTANT_S) * np.exp(-(times_s - 6.5) / CONSTANT_S)
    assert joined.positions_um(times_s) == pytest.approx(2.0 * times_s - error_um, abs=1e-9)


def test_lost_motion_along_a_wave_is_that_of_small_steps() -> None:
    course = Course(POINTS_UM, 0.02, is_straight=True, cycles=math.inf)
    followed = wave(course, start_um=9.0)
    play = Play(followed, 3.0, 0.4)
    times_s = np.linspace(0.0, 1.0, 20_001)
    state, states = 0.4, []
    for way_um in np.diff(followed.positions_um(times_s), prepend=9.0).tolist():
        state = min(max(state - way_um / 3.0, 0.0), 1.0)
        states.append(state)
    # between two of the small steps the axis may turn, 10 nm beyond either
    assert play.values(times_s)[:, 0] == pytest.approx(states, abs=0.005)
    assert play.values(times_s + 14_000.0)[1000:, 0] == pytest.approx(play.values(times_s + 0.14)[1000:, 0], abs=1e-5)


def test_a_wave_without_an_end_can_be_stuck_and_stopped() -> None:
    bench = Bench()
    bench.scanner.run({0: Course(POINTS_UM, 0.01, is_straight=True, cycles=math.inf)}, 0.0)
    bench.clock.advance(0.3)
    bench.scanner.stick(0, 0.2)
    stuck_um = bench.reported_um()[0]
    bench.clock.advance(0.19)
    assert bench.reported_um()[0] == stuck_um
    bench.clock.advance(0.1)
    now = np.array([bench.clock.now_s()])
    assert bench.scanner.reported_um_at(0, now) == pytest.approx(bench.scanner.commanded_um_at(0, now), abs=2.0)
    assert bench.scanner.is_moving(0)
    assert not bench.scanner.is_on_target(0)
    bench.scanner.stop()
    stopped_um = bench.reported_um()[0]
    bench.clock.advance(1.0)
    assert bench.reported_um()[0] == stopped_um
    assert not bench.scanner.is_moving(0)
