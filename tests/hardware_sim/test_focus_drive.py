"""The vertical stage: trapezoids, encoder, play, switches, and what stops it."""

import numpy as np
import pytest

from hardware_sim.clock import ManualClock
from hardware_sim.focus_drive import FOLLOWING_ERROR_MM, FocusDrive, Trip
from hardware_sim.settings import FocusSettings

EXACT = FocusSettings(encoder_noise_um=0.0, play_um=0.0, scatter_um=0.0)
START_MM = 50.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def drive(clock: ManualClock) -> FocusDrive:
    """A stage that lands where it is sent."""
    return FocusDrive(clock, EXACT)


@pytest.fixture
def real(clock: ManualClock) -> FocusDrive:
    """A stage as it comes."""
    return FocusDrive(clock, seed=7)


def track(drive: FocusDrive, clock: ManualClock, step_s: float = 0.001) -> np.ndarray:
    """Positions until the drive rests."""
    positions_mm = [drive.position_mm()]
    while drive.is_moving():
        clock.advance(step_s)
        positions_mm.append(drive.position_mm())
    return np.array(positions_mm)


def go(drive: FocusDrive, clock: ManualClock, target_mm: float) -> float:
    """Move, wait, and return where the carriage truly is."""
    drive.move(target_mm, 20.0, 80.0)
    clock.advance(20.0)
    return drive.position_mm()


def test_it_starts_half_way_up(real: FocusDrive) -> None:
    assert real.position_mm() == START_MM
    assert not real.is_moving()


def test_a_long_way_is_a_trapezoid(drive: FocusDrive, clock: ManualClock) -> None:
    drive.move(START_MM + 40.0, 20.0, 80.0)
    positions_mm = track(drive, clock)
    assert clock.now_s() == pytest.approx(40.0 / 20.0 + 20.0 / 80.0, abs=0.002)  # two steps of looking
    assert positions_mm[-1] == START_MM + 40.0
    assert np.diff(positions_mm).max() == pytest.approx(0.020, rel=1e-6)


def test_a_short_way_is_a_triangle(drive: FocusDrive, clock: ManualClock) -> None:
    drive.move(START_MM + 0.2, 20.0, 80.0)
    track(drive, clock)
    assert clock.now_s() == pytest.approx(2 * (0.2 / 80.0) ** 0.5, abs=0.002)


def test_it_may_brake_otherwise_than_it_speeds_up(drive: FocusDrive, clock: ManualClock) -> None:
    drive.move(START_MM + 40.0, 20.0, 80.0, 20.0)
    accelerations = np.diff(track(drive, clock), 2) / 0.001**2
    assert accelerations.max() == pytest.approx(80.0, rel=0.01)
    assert accelerations.min() == pytest.approx(-20.0, rel=0.01)
    assert drive.position_mm() == START_MM + 40.0


@pytest.mark.parametrize("way_mm", [40.0, -38.0, -39.0, -50.0])
def test_a_new_target_on_the_way_is_reached_without_a_jolt(
    drive: FocusDrive, clock: ManualClock, way_mm: float
) -> None:
    drive.move(START_MM + 45.0, 20.0, 80.0)
    clock.advance(0.625)  # 10 mm farther, at full speed
    drive.move(START_MM + way_mm, 20.0, 80.0)
    positions_mm = track(drive, clock)
    assert positions_mm[0] == pytest.approx(START_MM + 10.0)
    assert positions_mm[-1] == pytest.approx(START_MM + way_mm)
    accelerations = np.diff(positions_mm, 2) / 0.001**2
    assert np.abs(accelerations).max() < 81.0


def test_a_slower_speed_brakes_first(drive: FocusDrive, clock: ManualClock) -> None:
    drive.move(90.0, 20.0, 80.0)
    clock.advance(1.0)
    drive.move(95.0, 5.0, 80.0)
    assert track(drive, clock)[-1] == pytest.approx(95.0)


def test_a_stop_rests_a_braking_distance_later(drive: FocusDrive, clock: ManualClock) -> None:
    drive.move(START_MM + 45.0, 20.0, 80.0)
    clock.advance(0.625)
    drive.stop(80.0)
    assert track(drive, clock)[-1] == pytest.approx(START_MM + 10.0 + 20.0**2 / (2 * 80.0))
    assert drive.target_mm == pytest.approx(START_MM + 12.5)


def test_a_move_to_where_it_stands_is_over_at_once(drive: FocusDrive) -> None:
    drive.move(START_MM, 20.0, 80.0)
    assert not drive.is_moving()


def test_the_encoder_counts_tenths_of_a_micrometre(real: FocusDrive) -> None:
    read_um = np.array([real.encoder_mm() for _ in range(500)]) * 1000.0
    np.testing.assert_allclose(read_um * 10.0, np.round(read_um * 10.0), atol=1e-6)
    assert 0.01 < read_um.std() < 0.06  # 0.03 um of noise, mostly rounded away
    assert abs(read_um.mean() - START_MM * 1000.0) < 0.02


def test_it_repeats_within_a_micrometre_from_either_side(clock: ManualClock, real: FocusDrive) -> None:
    landings_um = []
    for turn in range(60):
        go(real, clock, 40.0 if turn % 2 else 60.0)
        landings_um.append((go(real, clock, START_MM) - START_MM) * 1000.0)
    from_above, from_below = np.array(landings_um[0::2]), np.array(landings_um[1::2])
    assert from_above.mean() - from_below.mean() == pytest.approx(1.0, abs=0.2)  # the play; 30 landings each
    assert 0.1 < from_below.std() < 0.25
    assert np.abs(landings_um).max() < 1.2  # +-1 um are three sigma


def test_a_step_below_the_play_is_lost_after_turning_round(clock: ManualClock) -> None:
    drive = FocusDrive(clock, FocusSettings(encoder_noise_um=0.0, scatter_um=0.0))
    above_mm = go(drive, clock, START_MM + 1.0)
    assert go(drive, clock, START_MM + 1.0 - 0.0009) == above_mm
    assert drive.encoder_mm() == pytest.approx(START_MM + 1.0 - 0.0009, abs=1e-9)
    assert go(drive, clock, START_MM + 1.0 - 0.0015) == pytest.approx(above_mm - 0.0005, abs=1e-9)


def test_the_same_seed_lands_the_same(clock: ManualClock, real: FocusDrive) -> None:
    again, other = FocusDrive(clock, seed=7), FocusDrive(clock, seed=8)
    assert go(real, clock, 60.0) == go(again, clock, 60.0)
    assert go(real, clock, 50.0) != go(other, clock, 50.0)


def test_a_limit_switch_ends_the_motion_and_takes_the_power(drive: FocusDrive, clock: ManualClock) -> None:
    drive.move(110.0, 20.0, 80.0)
    clock.advance(10.0)
    assert [trip for _, trip in drive.trips()] == [Trip.POSITIVE_LIMIT]
    assert not drive.motor_on
    assert 101.5 < drive.position_mm() < 102.1  # 0.5 mm to come to rest from 20 mm/s
    assert drive.switches() == (True, False, False)
    drive.switch_motor(True)
    assert go(drive, clock, 90.0) == pytest.approx(90.0)
    assert len(drive.trips()) == 1


def test_a_stuck_stage_that_is_pulled_loses_its_power_where_it_stands(drive: FocusDrive, clock: ManualClock) -> None:
    drive.stick(for_s=2.0)
    drive.move(60.0, 20.0, 80.0)
    clock.advance(10.0)
    ((time_s, trip),) = drive.trips()
    assert trip is Trip.FOLLOWING_ERROR
    assert time_s == pytest.approx((2 * FOLLOWING_ERROR_MM / 80.0) ** 0.5, abs=1e-6)  # at constant acceleration
    assert drive.position_mm() == START_MM
    assert drive.target_mm == START_MM
    assert not drive.motor_on


def test_a_stuck_stage_catches_up_after_a_small_step(drive: FocusDrive, clock: ManualClock) -> None:
    drive.stick(for_s=2.0)
    drive.move(START_MM + 0.05, 20.0, 80.0)
    clock.advance(1.0)
    assert drive.position_mm() == START_MM
    clock.advance(1.5)
    assert drive.position_mm() == START_MM + 0.05
    assert drive.trips() == []


def test_a_following_error_befalls_the_next_motion_if_none_is_under_way(drive: FocusDrive, clock: ManualClock) -> None:
    drive.fail_following()
    drive.move(60.0, 20.0, 80.0)
    clock.advance(10.0)
    assert [trip for _, trip in drive.trips()] == [Trip.FOLLOWING_ERROR]
    assert START_MM < drive.position_mm() < 60.0


def test_losing_its_power_on_the_way_ends_the_motion(drive: FocusDrive, clock: ManualClock) -> None:
    drive.move(90.0, 20.0, 80.0)
    clock.advance(1.0)
    drive.switch_motor(False)
    clock.advance(10.0)
    assert drive.position_mm() < START_MM + 20.0
    assert drive.target_mm == pytest.approx(drive.position_mm())
