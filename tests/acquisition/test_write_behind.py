"""The writing thread: order, bounds, deadlines, and what becomes of an attempt that cannot be stored."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from acquisition import write_behind
from acquisition.journal import Attempt
from acquisition.write_behind import DEPTH, WriteBehind

PIXELS = np.zeros((2, 2), np.uint16)
FULL = OSError(28, "No space left on device")


def attempt(tile: int) -> Attempt:
    return Attempt(tile, 1, 0, tile, "2026-01-01T00:00:00.000000+00:00", 1.0, 1.0, None, 0.02)


class Disk:
    """Takes attempts when it is let, and refuses what it is told to refuse."""

    def __init__(self) -> None:
        self.stored: list[int] = []
        self.together: list[int] = []
        self.refusals: list[Exception] = []
        self.free = threading.Event()
        self.free.set()

    def write(self, taken: Sequence[tuple[Attempt, Any]]) -> list[Attempt]:
        assert self.free.wait(10)
        if self.refusals:
            raise self.refusals.pop()
        self.together.append(len(taken))
        self.stored += [attempt.tile for attempt, _ in taken]
        return [attempt for attempt, _ in taken]


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    yield disk
    disk.free.set()


def test_stores_in_order_though_frames_are_encoded_side_by_side(disk: Disk) -> None:
    second_is_done = threading.Event()

    def encode(pixels: Any) -> Any:
        if pixels[0, 0] == 0:
            assert second_is_done.wait(10)
        second_is_done.set()
        return pixels

    with WriteBehind(disk.write, lambda _: None, encode, encoders=2) as writer:
        writer.put(attempt(0), np.full((2, 2), 0, np.uint16))
        writer.put(attempt(1), np.full((2, 2), 1, np.uint16))
    assert disk.stored == [0, 1]


def test_a_slow_disk_slows_the_scan_instead_of_filling_the_memory(disk: Disk) -> None:
    disk.free.clear()
    put: list[int] = []

    def scan() -> None:
        for tile in range(DEPTH + 1):
            writer.put(attempt(tile), PIXELS)
            put.append(tile)

    with WriteBehind(disk.write, lambda _: None) as writer:
        scanning = threading.Thread(target=scan)
        scanning.start()
        scanning.join(0.3)
        assert put == list(range(DEPTH))
        disk.free.set()
        scanning.join(10)
    assert disk.stored == list(range(DEPTH + 1))


def test_what_came_while_the_disk_was_busy_is_written_together(disk: Disk) -> None:
    disk.free.clear()
    with WriteBehind(disk.write, lambda _: None) as writer:
        for tile in range(DEPTH):
            writer.put(attempt(tile), None)
        disk.free.set()
        writer.wait_written()
    assert disk.stored == list(range(DEPTH))
    assert len(disk.together) <= 2  # the first may have gone before the second was there
    assert sum(disk.together) == DEPTH


def test_says_when_all_is_durable(disk: Disk) -> None:
    with WriteBehind(disk.write, lambda _: None) as writer:
        for tile in range(5):
            writer.put(attempt(tile), PIXELS)
            writer.wait_written()
            assert disk.stored[-1] == tile


def test_what_could_not_be_stored_is_kept_and_stored_when_there_is_space(disk: Disk) -> None:
    told: list[int] = []
    disk.refusals = [FULL, FULL]
    with WriteBehind(disk.write, lambda stored: told.append(stored.tile)) as writer:
        writer.put(attempt(0), PIXELS)
        for _ in range(2):
            with pytest.raises(OSError, match="No space"):
                writer.wait_written()
            with pytest.raises(OSError, match="No space"):
                writer.put(attempt(1), PIXELS)
            writer.retry()
        writer.put(attempt(1), PIXELS)
        writer.wait_written()
    assert disk.stored == told == [0, 1]


def test_tells_on_leaving_what_was_not_stored(disk: Disk) -> None:
    disk.refusals = [FULL]
    with pytest.raises(OSError, match="No space"), WriteBehind(disk.write, lambda _: None) as writer:
        writer.put(attempt(0), PIXELS)
    assert disk.stored == []


def test_the_first_error_is_the_one_that_is_told(disk: Disk) -> None:
    disk.refusals = [FULL]

    def scan() -> None:
        with WriteBehind(disk.write, lambda _: None) as writer:
            writer.put(attempt(0), PIXELS)
            raise KeyError

    with pytest.raises(KeyError):
        scan()
    assert disk.stored == []


def test_what_was_stored_is_not_stored_again_when_telling_of_it_fails(disk: Disk) -> None:
    def tell(stored: Attempt) -> None:
        raise RuntimeError("nobody listens")

    with pytest.raises(RuntimeError, match="nobody"), WriteBehind(disk.write, tell) as writer:
        writer.put(attempt(0), PIXELS)
    assert disk.stored == [0]


def test_does_not_wait_for_ever_for_a_disk_that_hangs(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_behind, "LONGEST_S", 0.2)
    disk.free.clear()
    with WriteBehind(disk.write, lambda _: None) as writer:
        writer.put(attempt(0), PIXELS)
        with pytest.raises(TimeoutError, match="1 attempts are not written"):
            writer.wait_written()
        disk.free.set()
        writer.wait_written()


def test_a_wait_can_be_given_up(disk: Disk) -> None:
    disk.free.clear()
    with WriteBehind(disk.write, lambda _: None) as writer:
        writer.put(attempt(0), PIXELS)
        writer.wait_written(lambda: True)
        assert disk.stored == []
        disk.free.set()
