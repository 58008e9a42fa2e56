"""Home searches, autozero and start-up against a twin in a hurry; what moved, the world tells."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from device_twin import Twin, running_twin

from devices.errors import DeviceRejected
from devices.focus_esp301 import Esp301Focus
from devices.focus_xps import XpsFocus
from devices.scanner_pi import PiScanner
from devices.settings import Esp301Settings, PiGcsSettings, XpsSettings

HOME_UM = 20.0  # the search ends on the index mark, which need not be at the very zero of the truth
SENSOR_UM = 0.5
TRAVEL_UM = (0.0, 100_000.0)


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    with running_twin(tmp_path_factory.mktemp("hasty"), "--speed", "20") as twin:
        yield twin


def scanner_of(twin: Twin, **changes: Any) -> PiScanner:
    where = twin.ready["scanner"]
    settings = {"host": where["host"], "port": where["port"], "axes": {"x": "1", "y": "2", "z": "3"}}
    return PiScanner("scanner", PiGcsSettings.model_validate(settings | changes))


def modular_scanner_of(twin: Twin, **changes: Any) -> PiScanner:
    where = twin.ready["scanner_e517"]
    settings = {"host": where["host"], "port": where["port"], "axes": {"x": "A", "y": "B", "z": "C"}}
    settings["start_up"] = ["online"]
    return PiScanner("scanner", PiGcsSettings.model_validate(settings | changes))


def esp301_of(twin: Twin, **changes: Any) -> Esp301Focus:
    return Esp301Focus("focus", Esp301Settings(url=twin.ready["focus"]["url"], limits_um=TRAVEL_UM, **changes))


def serial_esp301_of(twin: Twin, **changes: Any) -> Esp301Focus:
    return Esp301Focus("focus", Esp301Settings(url=twin.ready["focus"]["tty"], limits_um=TRAVEL_UM, **changes))


def xps_of(twin: Twin, **changes: Any) -> XpsFocus:
    where = {key: twin.ready["xps"][key] for key in ("host", "port", "group", "positioner")}
    return XpsFocus("focus", XpsSettings.model_validate(where | {"limits_um": TRAVEL_UM} | changes))


@pytest.mark.parametrize("make", [esp301_of, serial_esp301_of, xps_of])
def test_connecting_to_a_focus_stage_moves_nothing(hasty: Twin, make: Any) -> None:
    before_um = hasty.position_um("focus")
    make(hasty).close()
    assert hasty.position_um("focus") == before_um


@pytest.mark.parametrize(("make", "start_up"), [(scanner_of, ["servo"]), (modular_scanner_of, ["online", "servo"])])
def test_connecting_to_a_scanner_moves_nothing(hasty: Twin, make: Any, start_up: list[str]) -> None:
    before_um = hasty.truth()["reported_um"]
    make(hasty, start_up=start_up).close()
    assert hasty.truth()["reported_um"] == before_um


@pytest.mark.parametrize("make", [esp301_of, serial_esp301_of, xps_of])
def test_a_focus_stage_finds_its_home(hasty: Twin, make: Any) -> None:
    with closing(make(hasty)) as focus:
        focus.move_to({"z": 30_000.0})
        focus.home()
        assert hasty.position_um("focus")["z"] == pytest.approx(0.0, abs=HOME_UM)
        focus.move_to({"z": 1_000.0})
        assert hasty.position_um("focus")["z"] == pytest.approx(1_000.0, abs=HOME_UM)


@pytest.mark.parametrize("make", [esp301_of, xps_of])
def test_a_focus_stage_homes_at_connecting_if_the_rig_file_asks_for_it(hasty: Twin, make: Any) -> None:
    with closing(make(hasty)) as focus:
        focus.move_to({"z": 5_000.0})
    make(hasty, motor_on_connect=True, home_on_connect=True).close()
    assert hasty.position_um("focus")["z"] == pytest.approx(0.0, abs=HOME_UM)


@pytest.mark.parametrize("make", [scanner_of, modular_scanner_of])
def test_an_autozero_leaves_the_scanner_at_zero(hasty: Twin, make: Any) -> None:
    with closing(make(hasty)) as scanner:
        scanner.move_to({"x": 50.0, "z": 5.0})
        scanner.home()
        assert scanner.read_position_um() == pytest.approx({"x": 0.0, "y": 0.0, "z": 0.0}, abs=SENSOR_UM)


def test_axes_with_letters_go_on_line_and_move(hasty: Twin) -> None:
    with closing(modular_scanner_of(hasty, start_up=["online", "servo"])) as scanner:
        scanner.move_to({"x": 20.0, "y": 30.0})
        assert hasty.truth()["reported_um"][:2] == pytest.approx([20.0, 30.0], abs=SENSOR_UM)


def test_an_autozero_needs_the_servo(hasty: Twin) -> None:
    with closing(scanner_of(hasty)) as scanner:
        scanner._connection.tell("SVO 1 0")
        try:
            with pytest.raises(DeviceRejected, match="servo"):
                scanner.home()
        finally:
            scanner._connection.tell("SVO 1 1")
