"""The focus stage's wire, through pyserial."""

from collections.abc import Iterator

import pytest
import serial

from tests.hardware_sim.conftest import TwinProcess


class Wire:
    """A serial line to the controller."""

    def __init__(self, url: str) -> None:
        self.port = serial.serial_for_url(url, timeout=2)

    def send(self, text: str) -> None:
        self.port.write(text.encode())

    def ask(self, text: str) -> str:
        self.send(text)
        line: bytes = self.port.readline()
        assert line.endswith(b"\r\n")
        return line[:-2].decode()

    def error_after(self, text: str) -> int:
        self.send(text)
        return int(self.ask("TE?\r"))

    def wait(self) -> None:
        while self.ask("1MD?\r") == "0":
            pass


@pytest.fixture(scope="module")
def connected(still: TwinProcess) -> Iterator[Wire]:
    """One connection for all: pyserial takes 0.3 s to close one."""
    wire = Wire(still.ready["focus"]["url"])
    yield wire
    wire.port.close()


@pytest.fixture
def wire(connected: Wire) -> Wire:
    """The connection, with everything set back to how it was and no error waiting."""
    wire = connected
    wire.send("AB;1MO;1SN2;1SL0;1SR100;1VA20;1AC80\r")
    wire.wait()
    while wire.ask("TE?\r") != "0":
        pass
    return wire


def test_names_itself(wire: Wire) -> None:
    assert "ESP301" in wire.ask("VE?\r")
    assert "IMS100V" in wire.ask("1ID?\r")


def test_moves_in_millimetres_and_reports_done(wire: Wire) -> None:
    start_mm = float(wire.ask("1TP\r"))
    wire.send("1PR0.2\r")
    assert wire.ask("1MD?\r") == "0"
    assert wire.ask("TS\r") == "Q"
    wire.wait()
    assert wire.ask("TS\r") == "P"
    assert float(wire.ask("1TP?\r")) == pytest.approx(start_mm + 0.2)
    assert float(wire.ask("1DP?\r")) == pytest.approx(start_mm + 0.2)


def test_ignores_case_spaces_and_line_feeds_and_takes_lists(wire: Wire) -> None:
    assert wire.ask("1va 10 ; 1 VA ?\r\n") == "10.000000"
    wire.send("1MO?;1SN?\r")
    assert wire.port.readline() == b"1\r\n"
    assert wire.port.readline() == b"2\r\n"


def test_other_units_scale_everything(wire: Wire) -> None:
    wire.send("1SN3;1PA500\r")
    wire.wait()
    assert float(wire.ask("1TP\r")) == pytest.approx(500.0)
    assert wire.ask("1VA?;\r") == "20000.000000"
    assert float(wire.ask("1SN2;1TP\r")) == pytest.approx(0.5)


def test_homing_takes_time_and_refuses_other_moves(wire: Wire) -> None:
    wire.send("1PA1\r")
    wire.wait()
    assert wire.ask("1OR2;1MD?\r") == "0"
    assert wire.error_after("1PA5\r") == 130
    wire.wait()
    assert float(wire.ask("1TP\r")) == 0.0


def test_a_stop_leaves_it_between(wire: Wire) -> None:
    wire.send("1PA0\r")
    wire.wait()
    wire.send("1VA5;1PA90;ST\r")
    wire.wait()
    assert float(wire.ask("1TP\r")) < 45
    assert wire.ask("1TP\r") == wire.ask("1DP?\r")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("1QQ5\r", 6),
        ("hello\r", 6),
        ("2PA5\r", 9),
        ("PA3\r", 37),
        ("1PA\r", 38),
        ("1PAfar\r", 7),
        ("1SR60;1PA61\r", 106),
        ("1SL0.5;1PA0.1\r", 107),
        ("1VA25\r", 110),
        ("1AC500\r", 111),
        ("1MF;1PA5\r", 113),
        ("1OR3\r", 27),
    ],
)
def test_a_refused_command_waits_in_the_error_queue(wire: Wire, line: str, code: int) -> None:
    target = wire.ask("1DP?\r")
    assert wire.error_after(line) == code
    assert wire.ask("TE?\r") == "0"
    assert wire.ask("1DP?\r") == target


def test_errors_queue_in_order_with_their_texts(wire: Wire) -> None:
    wire.send("1QQ;PA3\r")
    first, second, third = (wire.ask("TB?\r").split(",", 2) for _ in range(3))
    assert (first[0], first[2].strip()) == ("6", "COMMAND DOES NOT EXIST")
    assert (second[0], second[2].strip()) == ("37", "AXIS NUMBER MISSING")
    assert (third[0], third[2].strip()) == ("0", "NO ERROR DETECTED")
