"""The focus stage behind a serial port."""

import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import serial

from hardware_sim.clock import RealClock
from hardware_sim.esp301_server import Esp301Controller
from hardware_sim.faults import Faults
from hardware_sim.focus_drive import FocusDrive
from hardware_sim.pty_line import PtyLine
from hardware_sim.wire import Channel, Wire
from tests.hardware_sim.conftest import TwinProcess
from tests.hardware_sim.lines import arm

PATIENCE_S = 10.0
FIRMWARE = b"ESP301 Version 3.0.1 6/1/99\r\n"


class Bench:
    """A controller behind a port."""

    def __init__(self, folder: Path) -> None:
        clock = RealClock()
        self.faults = Faults(clock, seed=1)
        self._controller = Esp301Controller(FocusDrive(clock), clock)
        self.line = PtyLine(folder / "focus.tty", self._serve)

    def _serve(self, channel: Channel) -> None:
        self._controller.serve(Wire(channel, "focus", self.faults))

    def open(self, timeout_s: float = PATIENCE_S) -> serial.Serial:
        """Open the port as a program for the real controller would."""
        return serial.Serial(str(self.line.path), 19200, rtscts=True, timeout=timeout_s)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    with closing(bench.line):
        yield bench


def ask(port: serial.Serial, line: bytes) -> bytes:
    port.write(line)
    return bytes(port.readline())


def test_bytes_go_through_as_they_are(bench: Bench) -> None:
    with bench.open() as port:
        assert ask(port, b"VE?\r") == FIRMWARE
        assert ask(port, b"1 tp ?\r\n").endswith(b"\r\n")
        assert ask(port, b"TS\r") == b"P\r\n"


def test_clients_come_and_go(bench: Bench) -> None:
    for _ in range(3):
        with bench.open() as port:
            assert ask(port, b"VE?\r") == FIRMWARE


def test_a_client_that_never_reads_does_not_hold_up_the_next(bench: Bench) -> None:
    with bench.open() as port:
        for _ in range(200):
            port.write(b"VE?;" * 15 + b"\r")
        port.reset_input_buffer()
    with bench.open(timeout_s=1.0) as port:
        deadline = time.monotonic() + PATIENCE_S
        while ask(port, b"2ID?;TE?\r") != b"208\r\n":
            assert time.monotonic() < deadline


def test_hanging_up_is_noticed_and_the_port_comes_back_under_its_name(bench: Bench) -> None:
    before = os.readlink(bench.line.path)
    with bench.open() as port:
        arm(bench.faults, "closed_socket", "focus")
        with pytest.raises(serial.SerialException):
            ask(port, b"VE?\r")
        deadline = time.monotonic() + PATIENCE_S
        while os.readlink(bench.line.path) == before:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    with bench.open() as port:
        assert ask(port, b"VE?\r") == FIRMWARE


def test_garbage_comes_as_a_line_of_other_bytes(bench: Bench) -> None:
    with bench.open() as port:
        arm(bench.faults, "garbage", "focus")
        answer = ask(port, b"VE?\r")
        assert answer.endswith(b"\r\n")
        assert answer != FIRMWARE
        assert ask(port, b"VE?\r") == FIRMWARE


@pytest.mark.parametrize(("fault", "answer"), [("silence", b""), ("partial_line", FIRMWARE[: len(FIRMWARE) // 2])])
def test_faults_of_the_wire_happen_on_it_too(bench: Bench, fault: str, answer: bytes) -> None:
    with bench.open(timeout_s=0.3) as port:
        arm(bench.faults, fault, "focus")
        assert ask(port, b"VE?\r") == answer
        assert ask(port, b"1MO?\r") == b"1\r\n"


def test_socket_port_and_xps_lead_to_the_same_stage(still: TwinProcess) -> None:
    address = still.ready["xps"]
    with (
        serial.serial_for_url(still.ready["focus"]["url"], timeout=PATIENCE_S) as line,
        serial.Serial(still.ready["focus"]["tty"], 19200, timeout=PATIENCE_S) as port,
        socket.create_connection((address["host"], address["port"]), timeout=PATIENCE_S) as xps,
    ):
        start_mm = float(ask(line, b"1TP\r"))
        line.write(b"1PR0.25\r")
        assert float(ask(line, b"1WS;1TP\r")) == start_mm + 0.25
        assert float(ask(port, b"1PR0.25;1WS;1TP\r")) == start_mm + 0.5
        xps.sendall(f"GroupMoveRelative({address['group']},-0.5)".encode())
        assert xps.recv(100) == b"0,EndOfAPI"
    assert still.get("/truth")["focus_um"] == pytest.approx(start_mm * 1000.0)


def test_it_costs_nothing_while_nobody_speaks(bench: Bench) -> None:
    with bench.open() as port:
        ask(port, b"VE?\r")
        before = resource.getrusage(resource.RUSAGE_SELF)
        time.sleep(0.5)
        after = resource.getrusage(resource.RUSAGE_SELF)
    busy_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert busy_s < 0.1  # a thread that polls would take all of the half second


def test_it_ends_and_takes_its_name_away(tmp_path: Path) -> None:
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    bench = Bench(tmp_path)
    bench.line.close()
    assert not bench.line.path.is_symlink()
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) <= files
