"""A motion-JPEG stream over HTTP that a test runs picture by picture."""

import queue
import socket
import threading
from contextlib import suppress
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

HEADER = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
PATIENCE_S = 10.0


SHAPE = (120, 160)  # FFmpeg reads 2 kB before it believes in a stream; the JPEG of one such picture has more


def picture(seed: int, shape: tuple[int, int] = SHAPE) -> NDArray[np.uint8]:
    """Grey noise around a level that tells which it is, 8 grey values for each seed."""
    noise = np.random.default_rng(seed).integers(-2, 3, shape)
    return (8 * seed + 8 + noise).astype(np.uint8)


class VideoPeer:
    """Sends what `show` is given to whoever is connected; nothing meanwhile."""

    def __init__(self) -> None:
        self.connections = 0
        self._connected = threading.Condition()
        self._orders: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/video"
        self._ended = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.hang_up()
        self._thread.join()

    def show(self, *pictures: NDArray[np.uint8]) -> None:
        for grey in pictures:
            encoded, jpeg = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 95])
            assert encoded
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {jpeg.size}\r\n\r\n".encode()
            self._orders.put(head + jpeg.tobytes() + b"\r\n")

    def hang_up(self) -> None:
        self._orders.put(None)

    def wait_for_connection(self, count: int) -> None:
        with self._connected:
            assert self._connected.wait_for(lambda: self.connections >= count, PATIENCE_S)

    def _serve(self) -> None:
        while not self._ended:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.recv(4096)
                connection.sendall(HEADER)
                with self._connected:
                    self.connections += 1
                    self._connected.notify_all()
                while (order := self._orders.get()) is not None:
                    connection.sendall(order)
