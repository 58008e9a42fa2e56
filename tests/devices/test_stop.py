"""A stop while the answer to somebody's question stays away: how far the stage still goes, the world tells."""

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import product

import pytest
from device_twin import Twin

from devices.errors import DeviceError, Stopped
from devices.focus_esp301 import Esp301Focus
from devices.focus_xps import XpsFocus
from devices.moving_axes import MovingAxes
from devices.scanner_pi import PiScanner
from devices.settings import Esp301Settings, PiGcsSettings, XpsSettings

ANSWER_S = 0.5  # as long as a driver may wait for an answer: a stop that waited for it would come too late here
LATE_S = 0.6
SLOW_UM_PER_S = 20.0
BRAKING_UM = 2_500.0  # of the focus stage: 20 mm/s at 80 mm/s2
TRAVEL_UM = (0.0, 100_000.0)


def slow_scanner(twin: Twin) -> PiScanner:
    where = twin.ready["scanner"]
    scanner = PiScanner(
        "scanner", PiGcsSettings(host=where["host"], port=where["port"], axes={"x": "1"}, answer_s=ANSWER_S)
    )
    scanner.move_to({"x": 10.0})
    scanner._connection.tell(f"VEL 1 {SLOW_UM_PER_S}")
    return scanner


def esp301(twin: Twin) -> Esp301Focus:
    return Esp301Focus("focus", Esp301Settings(url=twin.ready["focus"]["url"], limits_um=TRAVEL_UM, answer_s=ANSWER_S))


def serial_esp301(twin: Twin) -> Esp301Focus:
    return Esp301Focus("focus", Esp301Settings(url=twin.ready["focus"]["tty"], limits_um=TRAVEL_UM, answer_s=ANSWER_S))


def xps(twin: Twin) -> XpsFocus:
    where = {key: twin.ready["xps"][key] for key in ("host", "port", "group", "positioner")}
    return XpsFocus("focus", XpsSettings(limits_um=TRAVEL_UM, answer_s=ANSWER_S, **where))


STAGES = {
    "scanner": (slow_scanner, "scanner", "x", 80.0, 0.0, SLOW_UM_PER_S),
    "esp301": (esp301, "focus", "z", 30_000.0, BRAKING_UM, 20_000.0),
    "serial esp301": (serial_esp301, "focus", "z", 30_000.0, BRAKING_UM, 20_000.0),
    "xps": (xps, "focus", "z", 30_000.0, BRAKING_UM, 20_000.0),
}
NO_WAY_ROUND = ("serial esp301", "late_answer")  # the twin reads no further on a line while it holds an answer back
CASES = [case for case in product(STAGES, ("silence", "late_answer")) if case != NO_WAY_ROUND]


@pytest.fixture(autouse=True)
def _usual_speed(twin: Twin) -> Iterator[None]:
    yield
    where = twin.ready["scanner"]
    with closing(PiScanner("scanner", PiGcsSettings(host=where["host"], port=where["port"], axes={"x": "1"}))) as usual:
        usual._connection.tell("VEL 1 5000")


def arm(twin: Twin, device: str, name: str, **parameters: float) -> None:
    fault = json.dumps({"device": device, "name": name, **parameters}).encode()
    urllib.request.urlopen(f"{twin.ready['world']['url']}/faults", fault, timeout=5).close()


@pytest.mark.parametrize(("name", "fault"), CASES)
def test_a_stop_does_not_wait_for_an_answer_that_stays_away(twin: Twin, name: str, fault: str) -> None:
    make, role, axis, way_um, braking_um, speed_um_per_s = STAGES[name]
    with closing(make(twin)) as stage:
        begin_um = twin.position_um(role)[axis]
        forth = 1 if begin_um < 50_000.0 else -1
        stage.start_move({axis: begin_um + forth * way_um})
        while abs(twin.position_um(role)[axis] - begin_um) < way_um / 20:
            time.sleep(0.005)
        before = injected(twin)
        arm(twin, role, fault, **({"delay_s": LATE_S} if fault == "late_answer" else {}))
        asking = threading.Thread(target=ask, args=(stage,))
        asking.start()
        while injected(twin) == before:
            time.sleep(0.001)
        at_um = twin.position_um(role)[axis]
        stage.stop()
        asking.join()
        with pytest.raises(Stopped):
            stage.wait_settled()
        if fault == "late_answer":
            time.sleep(LATE_S)  # what was held back belongs to this test
    gone_um = abs(twin.position_um(role)[axis] - at_um)
    assert gone_um < braking_um + speed_um_per_s * ANSWER_S / 2


def ask(stage: MovingAxes) -> None:
    with suppress(DeviceError):
        stage.read_position_um()


def injected(twin: Twin) -> int:
    """How many faults have happened."""
    with urllib.request.urlopen(f"{twin.ready['world']['url']}/faults", timeout=5) as answer:
        return len(json.load(answer))
