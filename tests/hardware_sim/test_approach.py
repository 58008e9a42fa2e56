"""How one axis closes in on its target."""

import math

import numpy as np
import pytest

from hardware_sim.approach import Approach
from hardware_sim.settings import MechanicsSettings


def at(time_s: float) -> np.ndarray:
    return np.array([time_s])


def test_an_approach_slews_then_closes_in_and_arrives_exactly() -> None:
    move = Approach(2.0, 10.0, 60.0, slew_um_per_s=5000.0, time_constant_s=0.003, tolerance_um=0.005)
    positions_um = move.positions_um(np.array([2.0, 2.005, move.within_tolerance_s, move.arrives_s]))
    # 25 um at 5 mm/s
    assert positions_um.tolist() == pytest.approx([10.0, 35.0, 60.0 - 0.005, 60.0])
    assert positions_um[-1] == 60.0
    # 35 um of slewing, then 15 um shrink to 5 nm, then one time constant
    assert move.arrives_s - 2.0 == pytest.approx(0.007 + 0.003 * math.log(15 / 0.005) + 0.003)


@pytest.mark.parametrize("distance_um", [1e-6, 0.004, 0.1, 8.0, -30.0])
@pytest.mark.parametrize("slew_um_per_s", [0.5, 5000.0])
def test_an_approach_never_jumps_nor_turns_back(distance_um: float, slew_um_per_s: float) -> None:
    move = Approach(0.0, 50.0, 50.0 + distance_um, slew_um_per_s, 0.003, 0.005)
    times_s = np.linspace(0.0, move.arrives_s * 1.1, 4000)
    progress = move.progress(times_s)
    steps_um = np.diff(progress) * abs(distance_um)
    assert progress[0] == 0.0
    assert progress[-1] == 1.0
    assert steps_um.min() >= -1e-12
    assert steps_um.max() <= 1.01 * slew_um_per_s * (times_s[1] - times_s[0])


@pytest.mark.parametrize(("axis", "soonest_s", "latest_s"), [("xy", 0.010, 0.020), ("z", 0.003, 0.005)])
def test_a_micrometre_settles_into_ten_nanometres_as_fast_as_the_data_sheet_says(
    axis: str, soonest_s: float, latest_s: float
) -> None:
    settings = MechanicsSettings()
    constant_s = settings.time_constant_xy_s if axis == "xy" else settings.time_constant_z_s
    move = Approach(0.0, 0.0, 1.0, settings.slew_um_per_s, constant_s, settings.tolerance_nm / 1000.0)
    times_s = np.linspace(0.0, move.arrives_s, 100_001)
    settled_s = times_s[move.remaining_um(times_s) <= 0.010][0]
    assert soonest_s < settled_s < latest_s


def test_a_move_that_goes_nowhere_is_over_at_once() -> None:
    move = Approach(1.0, 5.0, 5.0, 5000.0, 0.003, 0.005)
    assert move.arrives_s == move.on_target_s(0.004) == 1.0
    assert move.progress(at(1.0)) == 1.0
    assert move.positions_um(at(1.0)) == 5.0
