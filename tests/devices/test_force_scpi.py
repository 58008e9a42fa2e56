"""The voltmeter's driver on a peer that says what a test tells it to."""

import time
from collections.abc import Iterator

import pytest
from device_peers import LinePeer

from devices.errors import DeviceRejected, ProtocolError, Saturated, Stale
from devices.force_scpi import ScpiForce
from devices.settings import ScpiForceSettings

IDENTITY = "ACME,34470A,0,1.0\n"


@pytest.fixture
def peer() -> Iterator[LinePeer]:
    with LinePeer() as peer:
        peer.answers = {"*IDN?": IDENTITY, "MEAS:VOLT:DC?": "+1.0E-3\n", "READ?": "+2.0E-3\n", "SYST:ERR?": '0,"ok"\n'}
        yield peer


def opened(peer: LinePeer, **settings: float) -> ScpiForce:
    values = {"url": peer.url, "stiffness_n_per_m": 42.0, "sensitivity_nm_per_v": 50.0, **settings}
    return ScpiForce("force", ScpiForceSettings.model_validate(values))


def test_without_an_aperture_it_only_measures(peer: LinePeer) -> None:
    sensor = opened(peer)
    assert sensor.read_force_nn() == pytest.approx(2.1)
    sensor.close()
    assert set(peer.received) == {"*IDN?", "MEAS:VOLT:DC?"}


def test_an_aperture_is_set_once_and_kept_by_read(peer: LinePeer) -> None:
    sensor = opened(peer, aperture_s=0.02)
    assert sensor.read_force_nn() == pytest.approx(4.2)
    sensor.close()
    assert peer.received == [
        *("*IDN?", "*CLS", "CONF:VOLT:DC", "SENS:VOLT:DC:APER 0.02", "SYST:ERR?"),
        *("READ?", "READ?"),
    ]


def test_an_aperture_that_the_voltmeter_refuses_is_told(peer: LinePeer) -> None:
    peer.answers["SYST:ERR?"] = '-222,"Data out of range"\n'
    with pytest.raises(DeviceRejected, match=r"aperture_s = 0\.02.*out of range") as caught:
        opened(peer, aperture_s=0.02)
    assert caught.value.code == -222


def test_an_error_queue_that_makes_no_sense_is_a_protocol_error(peer: LinePeer) -> None:
    peer.answers["SYST:ERR?"] = "hello\n"
    with pytest.raises(ProtocolError, match="hello"):
        opened(peer, aperture_s=0.02)


@pytest.mark.parametrize("answer", ["9.9E37\n", "-9.9E37\n", "+9.95E+00\n"])
def test_overload_and_the_end_of_the_detector_are_saturation(peer: LinePeer, answer: str) -> None:
    sensor = opened(peer)
    peer.answers["MEAS:VOLT:DC?"] = answer
    with pytest.raises(Saturated):
        sensor.read_force_nn()
    sensor.close()


def test_an_answer_later_than_allowed_is_stale_and_no_force(peer: LinePeer) -> None:
    def slow() -> str:
        time.sleep(0.1)
        return "+1.0E-3\n"

    sensor = opened(peer, stale_after_s=0.05)
    peer.answers["MEAS:VOLT:DC?"] = slow
    with pytest.raises(Stale):
        sensor.read_force_nn()
    sensor.close()


def test_an_aperture_longer_than_the_answer_may_take_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="shorter than answer_s"):
        ScpiForceSettings(url="socket://h:1", stiffness_n_per_m=1, sensitivity_nm_per_v=1, aperture_s=0.5)
