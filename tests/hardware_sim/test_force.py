"""The cantilever, as the voltmeter shows it, through pyserial."""

import socket
from collections.abc import Iterator

import pytest
import serial

from tests.hardware_sim.conftest import TwinProcess

SENSITIVITY_NM_PER_V = 50.0


class Rig:
    """Voltmeter and the scanner that pushes the specimen up."""

    def __init__(self, twin: TwinProcess) -> None:
        self.meter = serial.serial_for_url(twin.ready["force"]["url"], timeout=2)
        address = twin.ready["scanner"]
        self.scanner = socket.create_connection((address["host"], address["port"]), timeout=2)

    def ask(self, text: str) -> str:
        self.meter.write(text.encode() + b"\n")
        line: bytes = self.meter.readline()
        return line.decode().strip()

    def lift(self, z_um: float) -> None:
        self.scanner.sendall(b"MOV 3 %.12g\n" % z_um)
        while True:
            self.scanner.sendall(b"ONT? 3\n")
            if self.scanner.recv(100) == b"3=1\n":
                return


@pytest.fixture(scope="module")
def connected(still: TwinProcess) -> Iterator[Rig]:
    """One connection for all: pyserial takes 0.3 s to close one."""
    rig = Rig(still)
    yield rig
    rig.scanner.close()
    rig.meter.close()


@pytest.fixture
def rig(connected: Rig) -> Rig:
    """Both, with the specimen down."""
    connected.lift(0.0)
    return connected


def test_names_itself_and_queues_errors(rig: Rig) -> None:
    assert "VOLTMETER" in rig.ask("*IDN?")
    rig.ask("FOO:BAR;*IDN?")
    assert rig.ask("SYST:ERR?") == '-113,"Undefined header"'
    assert rig.ask("syst:err:next?") == '0,"No error"'


@pytest.mark.parametrize("query", ["MEAS:VOLT:DC?", "meas:volt?", "READ?"])
def test_reads_nothing_out_of_contact(rig: Rig, query: str) -> None:
    assert float(rig.ask(query)) == 0.0


def test_a_lifted_specimen_bends_the_probe_nanometre_by_nanometre(rig: Rig, still: TwinProcess) -> None:
    rig.lift(8.1)
    low_v, low_nn = float(rig.ask("READ?")), still.get("/truth")["force_nn"]
    rig.lift(8.15)
    high_v = float(rig.ask("READ?"))
    truth = still.get("/truth")
    assert truth["probe_contact"] is True
    assert (high_v - low_v) * SENSITIVITY_NM_PER_V == pytest.approx(50.0, rel=0.005)  # the contact gives a little
    assert truth["force_nn"] - low_nn == pytest.approx(50.0 * 42.0, rel=0.005)


def test_too_hard_a_push_is_an_overload(rig: Rig) -> None:
    rig.lift(9.5)
    assert float(rig.ask("MEAS:VOLT:DC?")) == 9.9e37
