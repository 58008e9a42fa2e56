"""The other end of the wire of an XY-20, for tests: a stage that takes its time, and fails when told to.

It is written from the manual, not from the driver, and imports nothing of nanoraster: what the driver misreads, it must
not misread too.
"""

import re
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

TRAVEL_COUNTS = (0, 200_000)  # of either axis; a count is 0.1 um
COUNTS_PER_S = 200_000
STATES = {True: "MOVING", False: "READY"}


class Stage:
    """Two axes, each at constant speed to where it was sent; `answer` speaks the manual's language."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._from = self._to = {"X": 0.0, "Y": 0.0}
        self._since = clock()
        self.motors_on = True
        self.stalled = False

    @property
    def counts(self) -> dict[str, float]:
        """Where it truly is."""
        gone = COUNTS_PER_S * (self._clock() - self._since)
        return {axis: _towards(here, self._to[axis], gone) for axis, here in self._from.items()}

    def answer(self, line: str) -> str | None:
        """What it says to a line; None is silence."""
        with self._lock:
            match line.split():
                case ["ID?"]:
                    return "XY20 2.1"
                case ["LIM?"]:
                    return " ".join(map(str, TRAVEL_COUNTS * 2))
                case ["VEL?"]:
                    return str(COUNTS_PER_S)
                case ["POS?"]:
                    return " ".join(str(round(count)) for count in self.counts.values())
                case ["ST?"]:
                    return "STALLED" if self.stalled else STATES[self.counts != self._to]
                case ["HALT"]:
                    self._head_for(self.counts)
                    return None
                case ["HOME"]:
                    return self._go({"X": 0, "Y": 0})
                case ["GO", *targets] if targets and all(re.fullmatch(r"[XY]-?\d+", target) for target in targets):
                    return self._go({target[0]: int(target[1:]) for target in targets})
        return "ERR 1"

    def stall(self) -> None:
        """Meet an obstacle."""
        with self._lock:
            self._head_for(self.counts)
            self.stalled = True

    def _go(self, targets: Mapping[str, int]) -> str:
        low, high = TRAVEL_COUNTS
        if not self.motors_on:
            return "ERR 3"
        if not all(low <= target <= high for target in targets.values()):
            return "ERR 2"
        self._head_for({**self._to, **targets})
        self.stalled = False
        return "OK"

    def _head_for(self, targets: Mapping[str, float]) -> None:
        self._from, self._since, self._to = self.counts, self._clock(), dict(targets)


@dataclass
class Fault:
    """Befalls the answer that comes after so many others."""

    name: str
    after: int
    parameters: dict[str, float]


class Xy20Peer:
    """A controller on loopback, a thread a connection; `stage` is the truth, `befallen` the faults so far."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.heard: list[str] = []
        self.befallen: list[Fault] = []
        self._armed: list[Fault] = []
        self._lock = threading.Lock()
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), lambda *args: _Talk(self, *args))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"socket://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """End it; whoever is still connected has to hang up first."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def arm(self, name: str, after: int = 0, **parameters: float) -> None:
        """Let a fault befall one of the next answers."""
        with self._lock:
            self._armed.append(Fault(name, after, parameters))

    def next_fault(self) -> Fault | None:
        """The fault that befalls this answer."""
        with self._lock:
            due = next((fault for fault in self._armed if fault.after == 0), None)
            for fault in self._armed:
                fault.after -= 1
            if due is not None:
                self._armed.remove(due)
                self.befallen.append(due)
            return due


class _Talk(socketserver.BaseRequestHandler):
    def __init__(self, peer: Xy20Peer, *args: Any) -> None:
        self._peer = peer
        super().__init__(*args)

    def handle(self) -> None:
        pending = b""
        try:
            while piece := self.request.recv(4096):
                *lines, pending = (pending + piece).split(b"\r")
                for line in lines:
                    self._obey(line.decode("latin-1"))
        except OSError:
            pass  # hung up, by either side

    def _obey(self, line: str) -> None:
        self._peer.heard.append(line)
        if line == "HALT":
            self._peer.stage.answer(line)
            return None
        fault = self._peer.next_fault()
        if fault is not None and fault.name == "controller_error":
            return self._say(b"ERR 4\r\n")
        answer = self._peer.stage.answer(line)
        said = b"" if answer is None else answer.encode() + b"\r\n"
        match fault.name if fault else "":
            case "silence":
                return None
            case "late_answer":
                time.sleep(fault.parameters["delay_s"] if fault else 0.0)
            case "garbage":
                said = b"\xfe#\x00%\r\n"
            case "partial_line":
                said = said[:2]
            case "closed_socket":
                self.request.shutdown(socket.SHUT_RDWR)
                return None
        return self._say(said)

    def _say(self, said: bytes) -> None:
        self.request.sendall(said)


def _towards(here: float, there: float, gone: float) -> float:
    return min(here + gone, there) if there >= here else max(here - gone, there)
