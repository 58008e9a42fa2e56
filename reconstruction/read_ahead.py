"""Let a thread of its own get what comes next, while what came is still being looked at."""

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

Item = TypeVar("Item")
DEPTH = 4  # items that wait
LOOK_S = 0.05  # how soon the thread notices that nobody wants more


def read_ahead(items: Iterator[Item], depth: int = DEPTH) -> Iterator[Item]:
    """Yield the same items, or raise what getting them raised; the thread ends with the iteration."""
    waiting: queue.Queue[Item | BaseException | None] = queue.Queue(depth)
    wanted = threading.Event()
    wanted.set()

    def put(item: Item | BaseException | None) -> bool:
        while wanted.is_set():
            try:
                waiting.put(item, timeout=LOOK_S)
            except queue.Full:
                continue
            return True
        return False

    def get() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(None)
        except BaseException as error:  # for who asked, in the thread that asked
            put(error)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=get, name="read ahead", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        wanted.clear()
        thread.join()
