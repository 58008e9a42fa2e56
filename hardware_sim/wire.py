"""TCP ends on loopback: one blocking thread per listener, and one per connection."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

HOST = "127.0.0.1"
LONGEST_LINE = 4096


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


def received(connection: socket.socket) -> Iterator[bytes]:
    """Yield what comes in, in the pieces it comes in, until the other side ends."""
    while chunk := connection.recv(4096):
        yield chunk


def lines(connection: socket.socket, terminator: bytes) -> Iterator[str]:
    """Yield each line without its terminator; CR and LF around it are stripped, an endless line is dropped."""
    pending = b""
    for chunk in received(connection):
        *complete, pending = (pending + chunk).split(terminator)
        for line in complete:
            yield line.decode("latin-1").strip("\r\n")
        if len(pending) > LONGEST_LINE:
            pending = b""
