"""What is read ahead is the same, in its order, and no thread outlives who asked for it."""

import threading
from collections.abc import Iterator

import pytest

from reconstruction.read_ahead import read_ahead


def numbers(closed: list[bool], fails_at: int | None = None) -> Iterator[int]:
    try:
        for number in range(50):
            if number == fails_at:
                raise ValueError(f"no {number}")
            yield number
    finally:
        closed.append(True)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "read ahead"]


def test_everything_comes_in_its_order() -> None:
    closed: list[bool] = []
    assert list(read_ahead(numbers(closed))) == list(range(50))
    assert closed
    assert not threads()


def test_an_error_comes_where_it_happened() -> None:
    closed: list[bool] = []
    found: list[int] = []
    with pytest.raises(ValueError, match="no 7"):
        found.extend(read_ahead(numbers(closed, fails_at=7)))
    assert found == list(range(7))
    assert not threads()


def test_who_leaves_early_leaves_no_thread_behind() -> None:
    closed: list[bool] = []
    ahead = read_ahead(numbers(closed))
    assert next(ahead) == 0
    ahead.close()  # type: ignore[attr-defined]
    assert closed
    assert not threads()
