"""A serial port for programs that open one: a pseudo-terminal under a path that stays the same."""

import os
import select
import threading
import tty
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hardware_sim.wire import Channel

STUCK_AFTER_MS = 500
"""Of wall time: a line that nobody reads for so long loses what is sent, until somebody reads again."""


class PtyChannel:
    """The twin's end of one pseudo-terminal, for one thread.

    It holds the other end open too, so that clients may come and go; closing both is what hangs up on them.
    """

    def __init__(self, ended: int, before_hanging_up: Callable[[], None]) -> None:
        self._before_hanging_up = before_hanging_up
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)  # else the line would echo, and turn CR into LF
        os.set_blocking(self._master, False)
        self._ended = ended
        self._closed = False
        self._unread = False  # what was sent last is lost: nobody has read for too long
        self.name: str = os.ttyname(self._slave)

    def recv(self, size: int, /) -> bytes:
        """Wait for bytes; none means that the line has ended."""
        poller = select.poll()
        poller.register(self._master, select.POLLIN)
        poller.register(self._ended, select.POLLIN)
        while not self._closed:
            ready = [end for end, _ in poller.poll()]
            if self._ended in ready:
                return b""
            with suppress(BlockingIOError):
                return os.read(self._master, size)
        return b""

    def sendall(self, data: bytes, /) -> None:
        """Send bytes; like a serial port, it does not mind whether somebody reads them."""
        poller = select.poll()
        poller.register(self._master, select.POLLOUT)
        while data and poller.poll(0 if self._unread else STUCK_AFTER_MS):
            with suppress(BlockingIOError):
                data = data[os.write(self._master, data) :]
        self._unread = bool(data)

    def close(self) -> None:
        """Hang up: whoever holds the port open reads an error from now on."""
        if not self._closed:
            self._closed = True
            self._before_hanging_up()
            os.close(self._master)
            os.close(self._slave)


class PtyLine:
    """Serves one pseudo-terminal after the other under one path, in a thread of its own."""

    def __init__(self, path: Path, serve: Callable[[Channel], None]) -> None:
        self.path = path
        self._serve = serve
        self._ended, self._end = os.pipe()
        self._ending = False
        self._next = self._lay()
        self._thread = threading.Thread(target=self._run, name="pty", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hang up and take the path away."""
        self._ending = True
        os.write(self._end, b"!")
        self._thread.join(timeout=1.0)
        self.path.unlink(missing_ok=True)
        if not self._thread.is_alive():  # else it still waits for the world, and ends with the process
            os.close(self._end)
            os.close(self._ended)

    def _run(self) -> None:
        while not self._ending:
            channel = self._next
            with suppress(OSError):  # a fault hung up: the port comes back, as after plugging it in again
                self._serve(channel)
            channel.close()

    def _succeed(self) -> None:
        """Let the path lead to the next pseudo-terminal before anybody can notice the end of this one."""
        if not self._ending:
            self._next = self._lay()

    def _lay(self) -> PtyChannel:
        """Open a pseudo-terminal and let the path lead to it."""
        channel = PtyChannel(self._ended, self._succeed)
        draft = self.path.with_name(self.path.name + ".new")
        draft.unlink(missing_ok=True)
        draft.symlink_to(channel.name)
        draft.replace(self.path)
        return channel
