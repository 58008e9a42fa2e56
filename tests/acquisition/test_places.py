"""Places: what a scanner's sensors say is rid of drift and backlash, and aiming takes the backlash into account."""

from dataclasses import replace

import pytest

from acquisition.journal import Attempt
from acquisition.places import Aim, Approach, Place, Places

LOST_UM = (0.12, 0.2)
RIG = {"calibration": {"backlash_um": {"x": LOST_UM[0], "y": LOST_UM[1]}}}
LIMITS_UM = {"x": (0.0, 100.0), "y": (0.0, 100.0)}


def attempt(x_um: float, y_um: float, drift_um: tuple[float, float] = (0.0, 0.0)) -> Attempt:
    x, y = x_um + drift_um[0], y_um + drift_um[1]
    return Attempt(
        0, 1, 0, 0, "", x, y, None, 0.02, actual_x_um=x, actual_y_um=y, drift_x_um=drift_um[0], drift_y_um=drift_um[1]
    )


def test_sensors_are_believed_after_a_move_upwards_and_corrected_after_one_downwards() -> None:
    places = Places(LOST_UM, Approach(sweeping=False))
    places.of(attempt(10.0, 10.0))
    assert places.of(attempt(20.0, 20.0)) == Place(20.0, 20.0, (True, True))
    assert places.of(attempt(15.0, 25.0)) == Place(15.0 + LOST_UM[0], 25.0, (True, True))
    assert places.of(attempt(15.0, 12.0)) == Place(15.0 + LOST_UM[0], 12.0 + LOST_UM[1], (True, True))


def test_without_a_known_backlash_a_move_downwards_leaves_its_axis_unsure() -> None:
    places = Places(None, Approach(sweeping=False))
    places.of(attempt(10.0, 10.0))
    assert places.of(attempt(5.0, 20.0)) == Place(5.0, 20.0, (False, True))


def test_a_sweep_comes_from_below_wherever_the_one_before_ended() -> None:
    places = Places(LOST_UM, Approach(sweeping=True))
    places.of(attempt(10.0, 10.0))
    assert places.of(attempt(5.0, 20.0)) == Place(5.0, 20.0, (True, True))


def test_the_word_of_an_attempt_counts_more_than_what_its_target_suggests() -> None:
    places = Places(LOST_UM, Approach(sweeping=False))
    places.of(attempt(10.0, 10.0))
    after_a_pause = replace(attempt(5.0, 5.0), from_above="")
    assert places.of(after_a_pause) == Place(5.0, 5.0, (True, True))
    again = replace(attempt(5.0, 5.0), from_above="y")
    assert places.of(again) == Place(5.0, 5.0 + LOST_UM[1], (True, True))


def aimed_below(x_um: float, y_um: float) -> Aim:
    aim = Aim(RIG, LIMITS_UM)
    aim.set_out_below(x_um, y_um)
    aim.arrive()
    return aim


def test_a_scanner_that_has_been_elsewhere_comes_by_way_of_a_place_below() -> None:
    aim = aimed_below(5.0, 5.0)
    assert aim.set_out(5.0, 5.0) == {"x": 5.0, "y": 5.0}
    assert not aim.is_set, "it has not arrived"
    aim.arrive()
    assert aim.set_out(4.0, 6.0) == {"x": 4.0 - LOST_UM[0], "y": 6.0}
    assert aim.from_above == "x"
    aim.leave()
    below = aim.set_out_below(3.0, 3.0)
    aim.arrive()
    place = aim.set_out(3.0, 3.0)
    assert below["x"] < place["x"]
    assert (place, aim.from_above) == ({"x": 3.0, "y": 3.0}, "")


def test_drift_that_the_target_followed_is_none_of_the_place() -> None:
    spot = Places(LOST_UM, Approach(sweeping=False)).of(attempt(10.0, 10.0, drift_um=(0.3, -0.1)))
    assert spot is not None
    assert (spot.x_um, spot.y_um) == pytest.approx((10.0, 10.0))


def test_an_aimed_scanner_comes_to_the_place_from_either_side() -> None:
    aim = aimed_below(10.0, 10.0)
    true_um = []
    before = {"x": 0.0, "y": 0.0}
    for x_um, y_um in ((10.0, 10.0), (20.0, 10.1), (20.0, 20.0), (10.0, 19.9), (10.0, 30.0)):
        target = aim.set_out(x_um, y_um)
        aim.arrive()
        lost = dict(zip("xy", LOST_UM, strict=True))
        true_um.append([target[axis] + lost[axis] * _stays_behind(target[axis], before[axis]) for axis in "xy"])
        before = target
    assert true_um[1] == pytest.approx([20.0, 10.1])
    assert true_um[3] == pytest.approx([10.0, 19.9])
    assert true_um[4][1] == pytest.approx(30.0)


def _stays_behind(target_um: float, before_um: float) -> bool:
    return target_um < before_um


def test_an_aimed_scanner_is_sent_no_further_than_its_limits() -> None:
    aim = aimed_below(10.0, 10.0)
    assert aim.set_out(0.05, 0.1) == {"x": 0.0, "y": 0.0}
    assert aim.set_out_below(-1.0, 5.0) == {"x": 0.0, "y": 4.0}
    aim.arrive()
    assert aim.set_out(-1.0, 5.0)["x"] == -1.0, "a place out of reach is for the scanner to refuse"
