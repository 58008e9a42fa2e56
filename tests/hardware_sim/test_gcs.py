"""The scanner's wire: bytes of GCS 2.0, and PI's own Python library on top."""

import socket
from collections.abc import Iterator

import pytest
from pipython import GCSDevice, pitools
from pipython.pidevice.gcserror import GCSError
from pipython.pidevice.interfaces.pisocket import PISocket

from tests.hardware_sim.conftest import TwinProcess

IDENTITY = "(c)2015 Physik Instrumente (PI) GmbH & Co. KG, E-727.3CDA, 0116054321, 13.21.00.09"


class ClosableOnce(PISocket):  # type: ignore[misc]  # pipython has no types
    """A gateway that may be closed twice, as GCSDevice does when it is collected."""

    def close(self) -> None:
        if self.connected:
            super().close()


class Wire:
    """A plain socket to the controller."""

    def __init__(self, twin: TwinProcess) -> None:
        address = twin.ready["scanner"]
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


def test_control_bytes_work_inside_a_line(wire: Wire) -> None:
    wire.send(b"PO")
    assert wire.ask(b"\x05") == b"0\n"
    assert wire.ask(b"\x07") == b"\xb1\n"
    assert wire.ask(b"\x09") == b"0\n"
    assert wire.ask(b"S? 1\n") == b"1=0.000000000e+00\n"


def test_moving_axes_are_bits_of_a_hex_mask(wire: Wire) -> None:
    wire.send(b"VEL 1 10 2 10\nMOV 1 50 2 50\n")
    assert wire.ask(b"\x05") == b"3\n"
    assert wire.error_after(b"\x18") == 10
    assert wire.ask(b"\x05") == b"0\n"


@pytest.mark.parametrize("stop", [b"\x18", b"STP\n", b"HLT 1\n"])
def test_a_stop_cuts_the_move_short_and_leaves_error_10(wire: Wire, stop: bytes) -> None:
    wire.send(b"VEL 1 20\nMOV 1 90\n")
    assert wire.error_after(stop) == 10
    assert wire.ask(b"ONT? 1\n") == b"1=1\n"
    assert float(wire.ask(b"POS? 1\n").split(b"=")[1]) < 45


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"FOO 1\n", 2),
        (b"FOO?\n", 2),
        (b"MOV 1 200\n", 7),
        (b"MOV 1 10 2 -1\n", 7),
        (b"MVR 3 11\n", 7),
        (b"VEL 1 0\n", 8),
        (b"VEL 1 1e6\n", 8),
        (b"MOV 9 1\n", 15),
        (b"POS? 9\n", 15),
        (b"POS? ?\n", 23),
        (b"MOV 1 1 1 2\n", 22),
        (b"MOV 1\n", 24),
        (b"MOV 1 fast\n", 25),
        (b"MOV 1 nan\n", 25),
        (b"MOV 1 1_0\n", 25),
        (b"MOV 1 1e999\n", 7),
        (b"MOV\n", 26),
        (b"SVO 1 2\n", 17),
    ],
)
def test_a_faulty_line_moves_nothing_and_leaves_its_code_once(wire: Wire, line: bytes, code: int) -> None:
    assert wire.error_after(line) == code
    assert wire.ask(b"ERR?\n") == b"0\n"
    assert wire.ask(b"MOV?\n") == b"1=0.000000000e+00 \n2=0.000000000e+00 \n3=0.000000000e+00\n"


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


def test_pipython_moves_it_and_sees_its_errors(wire: Wire, still: TwinProcess) -> None:
    address = still.ready["scanner"]
    with GCSDevice(gateway=ClosableOnce(address["host"], address["port"])) as device:
        assert device.qIDN().strip() == IDENTITY
        assert device.axes == ["1", "2", "3"]
        pitools.startup(device)
        device.MOV({"1": 12.5, "2": 3.25})
        pitools.waitontarget(device, polldelay=0.001)
        assert device.qPOS()["1"] == pytest.approx(12.5)
        assert device.qTMX() == {"1": 100.0, "2": 100.0, "3": 10.0}
        assert not any(device.IsMoving().values())
        assert not any(device.IsGeneratorRunning(["1", "2"]).values())
        with pytest.raises(GCSError) as caught:
            device.MOV("1", 200)
        assert caught.value.val == 7
        device.StopAll(noraise=True)
        assert device.qPOS("1")["1"] == pytest.approx(12.5)
