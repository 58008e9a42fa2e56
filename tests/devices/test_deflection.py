"""Volts of the optical lever become a force, and only where they can be believed."""

import math
import time

import pytest

from devices.deflection import Deflection
from devices.errors import DeviceRejected, DeviceTimeout, ProtocolError, Saturated, Stale
from devices.settings import DeflectionSettings


def deflection(**settings: float) -> Deflection:
    """42 N/m and 50 nm/V: 2100 nN/V."""
    values = {"driver": "none", "stiffness_n_per_m": 42.0, "sensitivity_nm_per_v": 50.0, **settings}
    return Deflection("force", DeflectionSettings.model_validate(values))


def test_a_millivolt_is_2_1_nn_on_a_stiff_cantilever() -> None:
    assert deflection().force_nn([1e-3], time.monotonic()) == pytest.approx(2.1)


def test_the_offset_is_no_force() -> None:
    assert deflection(offset_v=-0.5).force_nn([-0.5], time.monotonic()) == 0.0


def test_the_samples_of_one_reading_are_averaged() -> None:
    assert deflection().force_nn([1e-3, 3e-3], time.monotonic()) == pytest.approx(4.2)


@pytest.mark.parametrize("volts", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_of_volts_is_no_force(volts: float) -> None:
    with pytest.raises(ProtocolError, match="no numbers"):
        deflection().force_nn([0.0, volts], time.monotonic())


@pytest.mark.parametrize("volts", [[9.9], [-10.0], [0.0, 9.95, 0.0]])
def test_a_detector_at_its_end_tells_no_force(volts: list[float]) -> None:
    with pytest.raises(Saturated, match="saturated") as caught:
        deflection().force_nn(volts, time.monotonic())
    assert isinstance(caught.value, DeviceRejected)


def test_a_reading_that_took_too_long_is_stale() -> None:
    with pytest.raises(Stale, match=r"0\.2 s are allowed") as caught:
        deflection(stale_after_s=0.2).force_nn([1.0], time.monotonic() - 0.3)
    assert isinstance(caught.value, DeviceTimeout)


def test_digits_that_stand_still_are_stale_until_they_move() -> None:
    frozen = deflection(frozen_after=3)
    now_s = time.monotonic()
    assert frozen.force_nn([1.0], now_s) == frozen.force_nn([1.0], now_s)
    for _ in range(2):
        with pytest.raises(Stale, match="same digits"):
            frozen.force_nn([1.0], now_s)
    assert frozen.force_nn([1.001], now_s) == pytest.approx(2102.1)


def test_a_frozen_reading_at_the_end_of_the_range_is_still_an_error() -> None:
    frozen = deflection(frozen_after=2)
    for error in (Saturated, Stale):
        with pytest.raises(error):
            frozen.force_nn([9.95], time.monotonic())
