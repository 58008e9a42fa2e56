"""What is left until a deadline, for a conversation whose other end may drip: byte by byte, each within a time-out."""

import io
import socket
import time
from typing import Any


def left_s(deadline_s: float) -> float:
    """How long it is until a deadline on the clock of `time.monotonic`.

    Raises:
        TimeoutError: it has passed.
    """
    found_s = deadline_s - time.monotonic()
    if found_s <= 0:
        raise TimeoutError("timed out")
    return found_s


class Until(io.RawIOBase):
    """What comes out of a socket until the deadline: a socket's own timeout begins anew with every byte."""

    def __init__(self, sock: socket.socket, deadline_s: float) -> None:
        self._sock = sock
        self._deadline_s = deadline_s
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(left_s(self._deadline_s))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
