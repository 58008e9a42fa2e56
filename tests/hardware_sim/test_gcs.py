"""The scanner's wire on the running twin."""

import socket
from collections.abc import Iterator

import pytest

from tests.hardware_sim.conftest import TwinProcess

IDENTITY = "(c)2015 Physik Instrumente (PI) GmbH & Co. KG, E-727.3CDA, 0116054321, 13.21.00.09"


class Wire:
    """A plain socket to the controller."""

    def __init__(self, twin: TwinProcess, controller: str = "scanner") -> None:
        address = twin.ready[controller]
        self.socket = socket.create_connection((address["host"], address["port"]), timeout=2)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> bytes:
        """Read up to the end of an answer: LF without a space before it."""
        received = b""
        while not received.endswith(b"\n") or received.endswith(b" \n"):
            received += self.socket.recv(4096)
        return received

    def ask(self, data: bytes) -> bytes:
        self.send(data)
        return self.answer()

    def error_after(self, data: bytes) -> int:
        self.send(data)
        return int(self.ask(b"ERR?\n"))

    def wait_on_target(self) -> None:
        while b"=0" in self.ask(b"ONT?\n"):
            pass


@pytest.fixture
def wire(still: TwinProcess) -> Iterator[Wire]:
    wire = Wire(still)
    wire.error_after(b"SVO 1 1 2 1 3 1\nMOV 1 0 2 0 3 0\n")
    wire.wait_on_target()
    yield wire
    wire.send(b"SVO 1 1 2 1 3 1\nVEL 1 5000 2 5000 3 5000\n")
    wire.error_after(b"")
    wire.socket.close()


def test_answers_as_the_facts_sheet_says(wire: Wire) -> None:
    assert wire.ask(b"CSV?\n") == b"2.0\n"
    assert wire.ask(b"*IDN?\n") == IDENTITY.encode() + b"\n"
    assert wire.ask(b"SAI?\n") == b"1 \n2 \n3\n"
    assert wire.ask(b"SAI? ALL\n") == b"1 \n2 \n3\n"
    assert wire.ask(b"TMN?\n") == b"1=0.000000000e+00 \n2=0.000000000e+00 \n3=0.000000000e+00\n"
    assert wire.ask(b"TMX? 3 1\n") == b"3=1.000000000e+01 \n1=1.000000000e+02\n"
    assert wire.ask(b"SVO?\n") == b"1=1 \n2=1 \n3=1\n"
    assert wire.error_after(b"MOV 1 12.5 2 3.25\n") == 0
    wire.wait_on_target()
    assert wire.ask(b"POS?\n") == b"1=1.250000000e+01 \n2=3.250000000e+00 \n3=0.000000000e+00\n"
    assert wire.ask(b"MOV? 1\n") == b"1=1.250000000e+01\n"


@pytest.mark.parametrize("stop", [b"\x18", b"STP\n", b"HLT 1\n"])
def test_a_stop_cuts_the_move_short_and_leaves_error_10(wire: Wire, stop: bytes) -> None:
    wire.send(b"VEL 1 20\nMOV 1 90\n")
    assert wire.error_after(stop) == 10
    assert wire.ask(b"ONT? 1\n") == b"1=1\n"
    assert float(wire.ask(b"POS? 1\n").split(b"=")[1]) < 45


def test_refuses_to_move_without_servo(wire: Wire) -> None:
    wire.send(b"SVO 1 0\n")
    assert wire.error_after(b"MOV 2 5 1 5\n") == 5
    assert wire.ask(b"MOV? 2\n") == b"2=0.000000000e+00\n"
    assert wire.ask(b"ONT? 1\n") == b"1=0\n"


def test_a_second_connection_can_stop_the_first(wire: Wire, still: TwinProcess) -> None:
    other = Wire(still)
    wire.error_after(b"VEL 1 20\nMOV 1 90\n")
    assert other.error_after(b"\x18") == 10
    other.socket.close()
    assert wire.ask(b"ONT? 1\n") == b"1=1\n"


def test_another_controller_moves_the_same_stage_by_other_names(wire: Wire, still: TwinProcess) -> None:
    other = Wire(still, "scanner_e517")
    assert other.ask(b"SAI?\n") == b"A \nB \nC\n"
    assert other.error_after(b"ONL 1 1 2 1\nMOV A 2 B 3\n") == 0
    wire.wait_on_target()
    other.socket.close()
    assert wire.ask(b"POS? 1 2\n") == b"1=2.000000000e+00 \n2=3.000000000e+00\n"
