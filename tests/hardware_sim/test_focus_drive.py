"""The trapezoids of the vertical stage."""

import numpy as np
import pytest

from hardware_sim.clock import ManualClock
from hardware_sim.focus_drive import FocusDrive


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def drive(clock: ManualClock) -> FocusDrive:
    return FocusDrive(clock)


def track(drive: FocusDrive, clock: ManualClock, step_s: float = 0.001) -> np.ndarray:
    """Positions until the drive rests."""
    positions_mm = [drive.position_mm()]
    while drive.is_moving():
        clock.advance(step_s)
        positions_mm.append(drive.position_mm())
    return np.array(positions_mm)


def test_a_long_way_is_a_trapezoid(drive: FocusDrive, clock: ManualClock) -> None:
    drive.move(40.0, 20.0, 80.0)
    positions_mm = track(drive, clock)
    assert clock.now_s() == pytest.approx(40.0 / 20.0 + 20.0 / 80.0, abs=0.002)
    assert positions_mm[-1] == 40.0
    assert np.diff(positions_mm).max() == pytest.approx(0.020, rel=1e-6)


def test_a_short_way_is_a_triangle(drive: FocusDrive, clock: ManualClock) -> None:
    drive.move(0.2, 20.0, 80.0)
    track(drive, clock)
    assert clock.now_s() == pytest.approx(2 * (0.2 / 80.0) ** 0.5, abs=0.002)


@pytest.mark.parametrize("second_mm", [90.0, 12.0, 11.0, 0.0])
def test_a_new_target_on_the_way_is_reached_without_a_jolt(
    drive: FocusDrive, clock: ManualClock, second_mm: float
) -> None:
    drive.move(50.0, 20.0, 80.0)
    clock.advance(0.625)  # at 10 mm, at full speed
    drive.move(second_mm, 20.0, 80.0)
    positions_mm = track(drive, clock)
    assert positions_mm[0] == pytest.approx(10.0)
    assert positions_mm[-1] == pytest.approx(second_mm)
    accelerations = np.diff(positions_mm, 2) / 0.001**2
    assert np.abs(accelerations).max() < 81.0


def test_a_slower_speed_brakes_first(drive: FocusDrive, clock: ManualClock) -> None:
    drive.move(50.0, 20.0, 80.0)
    clock.advance(1.0)
    drive.move(60.0, 5.0, 80.0)
    assert track(drive, clock)[-1] == pytest.approx(60.0)


def test_a_stop_rests_a_braking_distance_later(drive: FocusDrive, clock: ManualClock) -> None:
    drive.move(50.0, 20.0, 80.0)
    clock.advance(0.625)
    drive.stop(80.0)
    assert track(drive, clock)[-1] == pytest.approx(10.0 + 20.0**2 / (2 * 80.0))
    assert drive.target_mm == pytest.approx(12.5)


def test_a_move_to_where_it_stands_is_over_at_once(drive: FocusDrive) -> None:
    drive.move(0.0, 20.0, 80.0)
    assert not drive.is_moving()
