"""A lock by name for all processes of a machine, whoever runs them; the kernel gives it back when its holder dies.

On Linux it is a Unix socket bound to an abstract name (unix(7)): no file, so neither rights (`fs.protected_regular`)
nor a `/tmp` of one's own (`PrivateTmp` of systemd) stand between two users. It reaches as far as the network namespace.
Elsewhere it is a locked file in `/tmp`.
"""

import errno
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

ABSTRACT_NAMES = sys.platform == "linux"
FILES = Path("/tmp")
ANYBODY = 0o666
WAITING_AT_THE_DOOR = 128  # of those who ask who holds it, until they are turned away
ASKING = struct.pack("ll", 1, 0)  # s, us (`struct timeval`): a holder may be too busy to turn them away, or stand still
CREDENTIALS = struct.Struct("iII")  # pid, uid, gid: `struct ucred`, see SO_PEERCRED in unix(7)


class Taken(Exception):
    """Another process holds it, or another thread of this one; `holder` is the number of the process, if known."""

    def __init__(self, holder: int | None) -> None:
        super().__init__(holder)
        self.holder = holder


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a name over the block.

    Raises:
        Taken: somebody holds it.
    """
    with _bound(f"\0{name}") if ABSTRACT_NAMES else _file_locked(FILES / f"{name}.lock"):
        yield


@contextmanager
def _bound(address: str) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as door:
        try:
            door.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise Taken(_listener(address)) from None
        door.listen(WAITING_AT_THE_DOOR)
        porter = Thread(target=_turn_away, args=(door,), name="lock", daemon=True)
        porter.start()
        try:
            yield
        finally:
            door.shutdown(socket.SHUT_RDWR)
            porter.join()


def _turn_away(door: socket.socket) -> None:
    """Let nobody wait for an answer that is not there, until the door is shut: the kernel has told them who we are."""
    with suppress(OSError):
        while True:
            door.accept()[0].close()


def _listener(address: str) -> int | None:
    """Which process listens there, by its number here."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, ASKING)
        try:
            asking.connect(address)
            pid, _, _ = CREDENTIALS.unpack(asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))
        except OSError:  # gone by now, or just about to listen
            return None
    return pid or None  # 0: of another PID namespace


@contextmanager
def _file_locked(path: Path) -> Iterator[None]:
    with os.fdopen(_opened(path), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held_by = file.read().strip()
            raise Taken(int(held_by) if held_by.isdecimal() else None) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _opened(path: Path) -> int:
    """Open a file of anybody's, or make it for anybody: O_CREAT on another's may be refused in a folder like `/tmp`."""
    while True:
        with suppress(FileNotFoundError):
            return os.open(path, os.O_RDWR)
        with suppress(FileExistsError):
            made = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, ANYBODY)
            os.fchmod(made, ANYBODY)
            return made
