"""An axis that follows a waveform, against what theory says of a loop of first order."""

import numpy as np
import pytest

from tests.hardware_sim.stage_bench import PIXEL_UM, Bench, exact_but

SERVO_S = 50e-6
LAG_S = 0.003


def ramp_um(start_um: float, end_um: float, duration_s: float) -> np.ndarray:
    return np.linspace(start_um, end_um, round(duration_s / SERVO_S))


def test_a_ramp_is_followed_one_time_constant_late() -> None:
    bench = Bench()
    bench.scanner.follow(0, 0.0, SERVO_S, ramp_um(0.0, 20.0, 0.2))
    late_um = 100.0 * 0.15 - bench.scanner.reported_um_at(0, np.array([0.15]))[0]
    # at 100 um/s; the steps themselves lag by half of 50 us, which is 1 %
    assert late_um == pytest.approx(100.0 * LAG_S, rel=0.02)


def test_a_sine_comes_out_smaller_and_later_as_of_a_first_order_loop() -> None:
    bench, hz = Bench(), 30.0
    times_s = np.arange(0.0, 1.0, SERVO_S)
    bench.scanner.follow(0, 0.0, SERVO_S, 50.0 + 5.0 * np.sin(2 * np.pi * hz * times_s))
    settled_s = times_s[times_s > 0.5]
    out_um = bench.scanner.reported_um_at(0, settled_s) - 50.0
    response = 2 * np.mean(out_um * np.exp(-2j * np.pi * hz * settled_s)) / (5.0 / 1j)
    expected = 1 / (1 + 2j * np.pi * hz * LAG_S)
    assert abs(response) == pytest.approx(abs(expected), rel=0.01)
    # the half step by which targets lag on average is 25 us, 5 mrad at 30 Hz
    assert np.angle(response) == pytest.approx(np.angle(expected), abs=0.01)


def test_a_wave_may_begin_later_and_the_axis_waits() -> None:
    bench = Bench()
    bench.go(x=10.0)
    start_s = bench.clock.now_s() + 1.0
    bench.scanner.follow(0, start_s, 0.01, np.array([11.0, 12.0, 13.0]))
    assert bench.scanner.is_following(0)
    assert not bench.scanner.is_moving(0)
    assert bench.scanner.reported_um_at(0, np.array([start_s - 0.001, start_s]))[:2].tolist() == [10.0, 10.0]
    assert bench.scanner.commanded_um_at(0, start_s + np.array([-0.1, 0.005, 0.015, 0.025, 9.0])).tolist() == [
        *(10.0, 11.0, 12.0, 13.0, 13.0)
    ]
    bench.clock.advance(1.015)
    assert bench.scanner.target_um()[0] == 12.0
    assert bench.scanner.is_following(0)
    bench.clock.advance(0.5)
    assert not bench.scanner.is_following(0)
    assert bench.scanner.is_on_target(0)
    assert bench.reported_um()[0] == 13.0
    assert bench.scanner.motion_ends_s(0) < bench.clock.now_s()


def test_another_command_makes_a_wave_void_that_has_not_begun() -> None:
    bench = Bench()
    bench.scanner.follow(0, 5.0, 0.01, np.array([50.0]))
    bench.go(x=7.0)
    bench.clock.sleep_until_s(6.0)
    assert bench.reported_um()[0] == 7.0
    bench.scanner.follow(0, 10.0, 0.01, np.array([50.0]))
    bench.scanner.stop()
    bench.clock.sleep_until_s(11.0)
    assert bench.reported_um()[0] == 7.0
    assert not bench.scanner.is_following(0)


def test_a_wave_can_be_stopped_under_way() -> None:
    bench = Bench()
    bench.scanner.follow(1, 0.0, SERVO_S, ramp_um(0.0, 50.0, 1.0))
    bench.clock.advance(0.5)
    here_um = bench.reported_um()[1]
    bench.scanner.stop([1])
    bench.clock.advance(2.0)
    assert here_um == pytest.approx(25.0, abs=0.2)  # the lag is 0.15 um
    assert bench.reported_um()[1] == here_um


def test_a_wave_is_no_faster_than_the_slew_rate() -> None:
    bench = Bench()
    bench.scanner.set_slew(0, 100.0)
    bench.scanner.follow(0, 0.0, 0.01, np.array([50.0, 0.0, 50.0]))
    times_s = np.linspace(0.0, 1.0, 20_001)
    positions_um = bench.scanner.reported_um_at(0, times_s)
    assert np.abs(np.diff(positions_um)).max() <= 100.0 * 1.001 * (times_s[1] - times_s[0])
    assert positions_um[times_s <= 0.02].max() == pytest.approx(1.0)  # 10 ms up at 100 um/s, 10 ms down
    assert positions_um[-1] == 50.0


def test_a_wave_on_the_way_of_a_move_goes_on_from_there() -> None:
    bench = Bench()
    bench.move(x=50.0)
    bench.clock.advance(0.004)
    here_um = bench.reported_um()[0]
    bench.scanner.follow(0, 0.0, SERVO_S, ramp_um(30.0, 60.0, 0.5))  # it would have had to begin in the past
    assert bench.reported_um()[0] == pytest.approx(here_um)
    assert bench.scanner.motion_ends_s(0) > 0.5


def test_an_axis_that_sticks_misses_a_part_of_the_wave() -> None:
    bench = Bench()
    bench.scanner.follow(0, 0.0, SERVO_S, ramp_um(0.0, 20.0, 1.0))
    bench.clock.advance(0.25)
    bench.scanner.stick(0, 0.5)
    stuck_um, freed_um, end_um = bench.scanner.reported_um_at(0, np.array([0.7, 0.9, 2.0]))
    assert stuck_um == pytest.approx(5.0, abs=0.1)
    assert freed_um == pytest.approx(18.0, abs=0.1)
    assert end_um == 20.0


def test_an_axis_that_sticks_before_a_wave_is_in_time_for_it() -> None:
    bench = Bench()
    bench.scanner.follow(0, 10.0, 0.01, np.array([11.0, 12.0]))
    bench.scanner.stick(0, 0.5)
    bench.scanner.stick(0, 0.1)  # the longer one counts
    bench.clock.sleep_until_s(9.9)
    assert bench.scanner.is_following(0)
    assert bench.scanner.reported_um_at(0, np.array([9.9, 10.0, 12.0])).tolist() == [0.0, 0.0, 12.0]
    assert bench.scanner.commanded_um_at(0, np.array([10.005, 10.015])).tolist() == [11.0, 12.0]


def test_lost_motion_is_taken_up_on_the_way_back() -> None:
    bench = Bench(exact_but(backlash_px=6.0))
    bench.go(x=50.0)
    up_and_down_um = np.concatenate([ramp_um(50.0, 60.0, 0.5), ramp_um(60.0, 50.0, 0.5)])
    start_s = bench.clock.now_s()
    bench.scanner.follow(0, start_s, SERVO_S, up_and_down_um)
    times_s = start_s + np.array([0.3, 0.5, 0.8])
    error_um = bench.scanner.true_um_at(times_s)[:, 0] - bench.scanner.reported_um_at(0, times_s)
    assert error_um == pytest.approx([0.0, 0.0, 6.0 * PIXEL_UM])


def test_a_landing_error_stays_during_a_wave() -> None:
    bench = Bench(exact_but(position_error_px_rms=3.0))
    bench.go(x=50.0, y=20.0)
    error_px = bench.error_px()
    bench.scanner.follow(0, 0.0, SERVO_S, ramp_um(50.0, 60.0, 0.5))
    bench.clock.advance(0.25)
    assert bench.scanner.is_following(0)
    assert bench.error_px() == pytest.approx(error_px)
