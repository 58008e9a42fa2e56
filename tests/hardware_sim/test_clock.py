"""World time that counts what is done, so that a night can be repeated."""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hardware_sim.clock import CountedClock, ManualClock
from hardware_sim.faults import Faults
from tests.hardware_sim.conftest import StartTwin, TwinProcess

OPERATIONS = 500


def test_counted_time_passes_by_operations_and_by_waiting() -> None:
    clock = CountedClock(operation_s=0.01)
    faults = Faults(clock, seed=1)
    for _ in range(5):
        faults.next("scanner")
    assert clock.now_s() == pytest.approx(0.05)
    clock.sleep_until_s(2.0)
    clock.sleep_until_s(1.0)
    assert clock.now_s() == 2.0


def test_no_operation_is_lost_between_threads() -> None:
    clock = CountedClock(operation_s=1.0)

    def work() -> None:
        for _ in range(OPERATIONS):
            clock.tick()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.now_s() == 4 * OPERATIONS


def test_an_operation_takes_no_time_where_a_test_keeps_it() -> None:
    clock = ManualClock()
    Faults(clock, seed=1).next("scanner")
    assert clock.now_s() == 0.0


class Session:
    """One client with a wire to each device, and everything it was answered."""

    def __init__(self, twin: TwinProcess, wires: ExitStack) -> None:
        def connect(host: str, port: int) -> tuple[socket.socket, socket.SocketIO]:
            wire = wires.enter_context(socket.create_connection((host, port), timeout=10))
            return wire, wires.enter_context(wire.makefile("rb"))  # type: ignore[return-value]

        self._scanner = connect(twin.ready["scanner"]["host"], twin.ready["scanner"]["port"])
        force = urlsplit(twin.ready["force"]["url"])
        self._force = connect(str(force.hostname), int(force.port or 0))
        host, port = camera_address(Path(twin.ready["camera"]["cfg"]))
        self._camera = connect(host, port)
        self.answers: list[bytes] = []

    def move(self, target: str) -> None:
        wire, answers = self._scanner
        wire.sendall(b"MOV %b\n" % target.encode())
        while True:
            wire.sendall(b"ONT? 1\n")
            self.answers.append(answers.readline())
            if self.answers[-1] == b"1=1\n":
                break
        wire.sendall(b"POS? 1\n")
        self.answers.append(answers.readline())

    def read_volts(self) -> None:
        wire, answers = self._force
        wire.sendall(b"READ?\n")
        self.answers.append(answers.readline())

    def expose(self) -> None:
        wire, answers = self._camera
        wire.sendall(b'{"ask": "expose", "frames": 1, "setup": {"exposure_s": 0.02}}\n')
        head = answers.readline()
        self.answers += [head, answers.read(json.loads(head)["nbytes"] + len(b"END\n"))]


def camera_address(cfg: Path) -> tuple[str, int]:
    line = next(line for line in cfg.read_text().splitlines() if "Address" in line)
    host, port = line.rsplit(",", 1)[1].split(":")
    return host, int(port)


def test_one_seed_gives_one_night_bit_for_bit_in_any_process(
    start_twin: StartTwin, world_file: Callable[[str], str]
) -> None:
    world = world_file('time = "counted"\n[camera]\nframe_shape_px = [64, 64]\n')
    nights = []
    for _ in range(2):
        twin = start_twin("--world", world, "--pixel-nm", "100", "--seed", "9")
        with ExitStack() as wires:
            session = Session(twin, wires)
            for target in ("1 30 2 40", "1 31.5", "3 7.9", "1 12.25 2 80"):
                session.move(target)
                session.expose()
                session.read_volts()
            session.answers.append(json.dumps(twin.get("/truth")).encode())
        nights.append(session.answers)
    assert len(nights[0]) > 20
    assert len({answer for answer in nights[0] if answer.startswith(b"1=") and len(answer) > 6}) == 4  # POS?
    assert nights[0] == nights[1]
