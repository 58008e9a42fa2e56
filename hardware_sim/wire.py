"""TCP ends on loopback: one blocking thread per listener, and one per connection."""

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from hardware_sim.chance import Stream, generator
from hardware_sim.fault_kinds import WIRE
from hardware_sim.faults import Fault, Faults

HOST = "127.0.0.1"
LONGEST_LINE = 4096
GARBAGE_BYTES = 12


class Channel(Protocol):
    """What carries bytes both ways: a socket, or a serial line."""

    def recv(self, size: int, /) -> bytes: ...

    def sendall(self, data: bytes, /) -> None: ...

    def close(self) -> None: ...


class Wire:
    """One connection to one device, on which the faults of the wire happen.

    A server calls `begin` once for each operation, then answers with `send`, or not at all.
    """

    def __init__(self, channel: Channel, device: str, faults: Faults) -> None:
        self._channel = channel
        self._device = device
        self._faults = faults
        self._spoils: Fault | None = None
        self._sending = threading.Lock()
        self._held: deque[bytes] = deque()

    def begin(self) -> Fault | None:
        """Begin an operation; returns the fault that the device itself has to act out, if there is one.

        A fault of the wire is kept for the next answer, be it this operation's or, if it has none, a later one's.
        """
        fault = self._faults.next(self._device)
        if fault is None or fault.name not in WIRE:
            return fault
        self._spoils = fault
        return None

    def send(self, answer: bytes, terminator_length: int = 2) -> None:
        """Send an answer, or what the fault that is due makes of it; garbage keeps only the terminator."""
        fault, self._spoils = self._spoils, None
        if fault is None:
            self._deliver(answer)
            return
        match fault.name:
            case "late_answer":
                self._hold(answer, fault.parameters["delay_s"])
            case "garbage":
                random = generator(fault.number, Stream.GARBAGE)
                noise = random.integers(0, 256, GARBAGE_BYTES).astype("u1").tobytes()
                self._deliver(noise.replace(b"\n", b"?").replace(b"\r", b"?") + answer[-terminator_length:])
            case "partial_line":
                self._deliver(answer[: len(answer) // 2])
            case "closed_socket":
                self._channel.close()
                raise ConnectionAbortedError("the fault closed_socket")

    def _hold(self, answer: bytes, delay_s: float) -> None:
        """Keep an answer back, and behind it all that follow; the device goes on listening meanwhile."""
        with self._sending:
            self._held.append(answer)
            if len(self._held) == 1:
                release = threading.Timer(delay_s, self._release)
                release.daemon = True
                release.start()

    def _release(self) -> None:
        with self._sending, contextlib.suppress(OSError):  # whoever asked may have left
            while self._held:
                self._channel.sendall(self._held.popleft())

    def _deliver(self, answer: bytes) -> None:
        with self._sending:
            if self._held:
                self._held.append(answer)
            else:
                self._channel.sendall(answer)

    def received(self) -> Iterator[bytes]:
        """Yield what comes in, in the pieces it comes in, until the other side ends."""
        while chunk := self._channel.recv(4096):
            yield chunk

    def lines(self, terminator: bytes) -> Iterator[str]:
        """Yield each line without its terminator; CR and LF around it are stripped, an endless line is dropped."""
        pending = b""
        for chunk in self.received():
            *complete, pending = (pending + chunk).split(terminator)
            for line in complete:
                yield line.decode("latin-1").strip("\r\n")
            if len(pending) > LONGEST_LINE:
                pending = b""


class Listener:
    """Accepts connections on a port of its own and hands each to `serve`, in a thread of its own."""

    def __init__(self, name: str, serve: Callable[[socket.socket], None]) -> None:
        self.name = name
        self._serve = serve
        self._socket = socket.create_server((HOST, 0))
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Refuse further connections and end those there are."""
        with self._lock:
            self._closed = True
            connections = list(self._connections)
        for end in [self._socket, *connections]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes whoever blocks on it
        self._socket.close()
        self._thread.join(timeout=1.0)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except ConnectionAbortedError:
                continue  # whoever called hung up before the answer
            except OSError:
                return
            with self._lock:
                if self._closed:
                    connection.close()
                    return
                self._connections.add(connection)
            threading.Thread(target=self._run, args=(connection,), name=self.name, daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._serve(connection)
        except OSError:
            pass  # the other side went away, or the twin is ending
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()
