"""Making a rig safe, on a real driver with a scripted controller and stand-ins for the rest."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from device_peers import SILENCE, GcsPeer

from devices.drivers import OURS
from devices.errors import DeviceError, DeviceLost, DeviceRejected, DeviceTimeout, Stopped
from devices.rig import Rig, RigSettings, open_device
from devices.scanner_pi import PiScanner
from devices.settings import PiGcsSettings

SETTINGS = RigSettings.from_toml("""
name = "bench"
calibration = { pixel_size_um = 0.02, frame_shape_px = [2, 2] }
[devices.scanner]
driver = "pi_gcs"
host = "127.0.0.1"
axes = { x = "1", y = "2", z = "3" }
[devices.camera]
driver = "mmcore"
cfg = "camera.cfg"
""")


class StandIn:
    """A device that only counts its stops, and may fail at them."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.stops = 0
        self._failure = failure

    def stop(self) -> None:
        self.stops += 1
        if self._failure is not None:
            raise self._failure


@pytest.fixture
def peer() -> Iterator[GcsPeer]:
    with GcsPeer() as peer:
        peer.position_um["3"] = 5.0
        yield peer


@pytest.fixture
def scanner(peer: GcsPeer) -> Iterator[PiScanner]:
    axes = {"x": "1", "y": "2", "z": "3"}
    settings = PiGcsSettings(host="127.0.0.1", port=peer.port, axes=axes, answer_s=0.1, settle_s=0.1)
    scanner = PiScanner("scanner", settings)
    yield scanner
    scanner.close()


def rig_of(scanner: PiScanner, **others: object) -> Rig:
    return Rig(SETTINGS, {"scanner": scanner, "camera": StandIn(), "force": object()} | others, ExitStack())


def moves_and_stops(peer: GcsPeer) -> list[str]:
    return [command for command in peer.received if command == "\x18" or command.startswith("MOV")]


def test_retracts_first_and_stops_then(peer: GcsPeer, scanner: PiScanner) -> None:
    camera, focus = StandIn(), StandIn()
    rig_of(scanner, camera=camera, focus=focus).make_safe()
    assert moves_and_stops(peer)[:2] == ["MOV 3 0", "\x18"]
    assert (camera.stops, focus.stops) == (1, 1)


def test_a_probe_that_is_nearly_up_is_retracted_all_the_way(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.position_um["3"] = 0.04
    rig_of(scanner).retract()
    assert moves_and_stops(peer) == ["MOV 3 0"]


def test_without_a_force_sensor_there_is_no_probe_to_retract(peer: GcsPeer, scanner: PiScanner) -> None:
    rig_of(scanner, force=None).retract()
    assert moves_and_stops(peer) == []


def test_retracts_although_the_connection_was_lost_meanwhile(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.hang_up()
    rig_of(scanner).retract()
    assert moves_and_stops(peer) == ["MOV 3 0"]


def test_each_step_is_taken_even_if_the_one_before_failed(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.answers["POS?"] = SILENCE
    camera, focus = StandIn(), StandIn(DeviceLost("focus", "unplugged"))
    with pytest.raises(DeviceTimeout, match="POS") as told:
        rig_of(scanner, camera=camera, focus=focus).make_safe()
    assert told.value.__notes__ == ["and then focus: unplugged"]
    assert "\x18" in peer.received
    assert (camera.stops, focus.stops) == (1, 1)


def test_an_error_in_the_block_stays_the_one_that_is_told(scanner: PiScanner) -> None:
    focus = StandIn(DeviceLost("focus", "unplugged"))
    with pytest.raises(ZeroDivisionError) as told, rig_of(scanner, focus=focus).safe_on_exit():
        raise ZeroDivisionError
    assert told.value.__notes__ == ["and the rig could not be made safe: focus: unplugged"]


def test_closes_everything_even_if_one_fails_and_only_once(scanner: PiScanner) -> None:
    closed: list[str] = []

    def fail() -> None:
        closed.append("failing")
        raise DeviceLost("camera", "unplugged")

    opened = ExitStack()
    opened.callback(lambda: closed.append("first"))
    opened.callback(fail)
    rig = Rig(SETTINGS, {"scanner": scanner, "camera": StandIn()}, opened)
    with pytest.raises(DeviceLost):
        rig.close()
    rig.close()
    assert closed == ["failing", "first"]


def test_a_device_that_does_not_open_at_first_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = DeviceRejected("scanner", "POS?: error 505", 505)
    failures: list[DeviceError] = [refusal, DeviceLost("scanner", "closed")]

    def factory(name: str, settings: PiGcsSettings) -> str:
        if failures:
            raise failures.pop()
        return f"{name} is open"

    monkeypatch.setitem(OURS, "pi_gcs", (PiGcsSettings, factory))
    assert open_device("scanner", SETTINGS.devices.scanner) == "scanner is open"
    failures = [DeviceTimeout("scanner", "no answer")] * 3
    with pytest.raises(DeviceTimeout):
        open_device("scanner", SETTINGS.devices.scanner)
    failures = [Stopped("scanner", "stopped")]  # somebody wants it to stand still
    with pytest.raises(Stopped):
        open_device("scanner", SETTINGS.devices.scanner)
