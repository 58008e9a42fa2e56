"""What is put on a shelf comes back as it was, from any thread, also when the disk is full."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reconstruction.local_shifts import LocalShift, LocalShifts
from reconstruction.shelf import Shelf


def test_what_many_threads_put_there_comes_back(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    things = [os.urandom(1 + i % 700) for i in range(500)]
    with ThreadPoolExecutor(8) as pool:
        shelved = list(pool.map(shelf.put, things))
    assert [bytes(each) for each in shelved] == things
    assert [len(each) for each in shelved] == [len(thing) for thing in things]
    assert not list(tmp_path.iterdir())  # nobody else sees it


def test_shifts_on_a_shelf_are_the_same_shifts(tmp_path: Path) -> None:
    shifts = LocalShifts([LocalShift(0.9, -0.5, -0.8, -0.5, 0.31, 1e-3, 400.0, -3.5, 12.0), LocalShift(*range(9))])
    shelved = shifts.on(Shelf(tmp_path))
    assert shelved == shifts
    assert hash(shelved) == hash(shifts)
    assert list(shelved) == list(shifts)
    assert len(shelved) == 2


def test_on_a_full_disk_things_stay_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    shelf = Shelf(tmp_path)
    monkeypatch.setattr(os, "pwrite", full)
    assert shelf.put(b"content") == b"content"
