"""Faults of the stage, armed in a world."""

import numpy as np
import pytest

from hardware_sim.clock import ManualClock
from hardware_sim.faults import Armed
from hardware_sim.settings import NAMED
from hardware_sim.specimen import load_specimen
from hardware_sim.world import World


@pytest.fixture(scope="module")
def world() -> World:
    return World(NAMED["still"], load_specimen("chip", 200.0, seed=1), ManualClock(), seed=1)


def test_a_stuck_axis_is_that_of_the_scanner(world: World) -> None:
    world.faults.arm(Armed(name="stuck_axis", device="scanner", axis=1, for_s=3.0))
    world.scanner.move({0: 20.0, 1: 20.0})
    world.clock.sleep_until_s(world.clock.now_s() + 1.0)
    assert world.scanner.reported_um(world.clock.now_s())[:2].tolist() == [20.0, 0.0]
    world.clock.sleep_until_s(world.clock.now_s() + 3.0)
    assert world.scanner.reported_um(world.clock.now_s())[:2].tolist() == [20.0, 20.0]


def test_a_drift_burst_takes_the_specimen_away_while_the_sensors_see_nothing(world: World) -> None:
    before_s = world.clock.now_s()
    world.faults.arm(Armed(name="drift_burst", device="scanner", x_um=0.3, y_um=-0.2, over_s=1.0))
    world.clock.sleep_until_s(before_s + 2.0)
    times_s = np.array([before_s, before_s + 2.0])
    slip_um = np.diff(world.scanner.true_um_at(times_s), axis=0)[0]
    assert slip_um == pytest.approx([0.3, -0.2, 0.0])
    assert np.ptp(world.scanner.reported_um_at(0, times_s)) == 0.0
