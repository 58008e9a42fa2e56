"""Talking to a server of the twin inside the test: no process, no port, and time that passes when the test says so."""

import itertools
from collections.abc import Callable, Iterator

from hardware_sim.faults import Armed, Faults
from hardware_sim.wire import Wire


class ScriptedChannel:
    """Hands out what a client sends and keeps what it is answered."""

    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = iter([chunk for chunk in chunks if chunk])  # nothing would be the end
        self.sent = b""
        self.closed = False

    def recv(self, size: int, /) -> bytes:
        return next(self._chunks, b"")

    def sendall(self, data: bytes, /) -> None:
        self.sent += data

    def close(self) -> None:
        self.closed = True


def talk(serve: Callable[[Wire], None], chunks: list[bytes], device: str, faults: Faults) -> bytes:
    """Send bytes on one connection and return all that was answered."""
    channel = ScriptedChannel(chunks)
    serve(Wire(channel, device, faults))
    return channel.sent


def in_pieces(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Cut bytes into pieces whose sizes go round."""
    place = 0
    for size in itertools.cycle(sizes):
        if place >= len(data):
            return
        yield data[place : place + size]
        place += size


def arm(faults: Faults, name: str, device: str, **parameters: float) -> None:
    """Let a fault befall the next operation."""
    faults.arm(Armed.model_validate({"name": name, "device": device, **parameters}))
