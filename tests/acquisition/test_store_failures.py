"""A run whose disk is full, busy or gone, or whose process is killed: nothing that was acknowledged is lost."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import zarr

from acquisition import journal, shard
from acquisition.journal import JournalError
from acquisition.run_store import RunStore
from tests.acquisition.lives import attempt, frame, new_run, raw_files

TILES = 40


def complete(store: RunStore) -> None:
    """Record what is missing."""
    for tile in store.missing():
        store.record(attempt(tile.index), frame(tile.index))


@pytest.fixture
def undisturbed(tmp_path: Path) -> dict[str, bytes]:
    with closing(new_run(tmp_path / "undisturbed", TILES)) as store:
        complete(store)
    return raw_files(tmp_path / "undisturbed")


@pytest.fixture(params=["tmpfs", "ext4"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB with 400 kB left; deleting `ballast` makes room."""
    disk, image = tmp_path / "disk", tmp_path / "image"
    disk.mkdir()
    if request.param == "ext4":
        image.write_bytes(b"")
        os.truncate(image, 6 << 20)
        commands = [
            ["mkfs.ext4", "-q", "-O", "^has_journal", str(image)],
            ["mount", "-o", "loop", str(image), str(disk)],
        ]
    else:
        commands = [["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)]]
    for command in commands:
        if not shutil.which(command[0]) or subprocess.run(command, capture_output=True).returncode:
            pytest.skip(f"this machine does not let us {command[0]}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path, left: int) -> None:
    """Leave so many bytes."""
    with (disk / "ballast").open("wb") as ballast:
        space = os.statvfs(disk)
        ballast.write(bytes(space.f_bavail * space.f_frsize - left))
        ballast.flush()
        os.fsync(ballast.fileno())


def fill_journal(store: RunStore) -> None:
    """Some 500 bytes a row, more than any journal has left on a full disk."""
    for number in range(2000):
        store.record(attempt(0, number), None)


def test_a_full_disk_loses_nothing_and_the_run_goes_on_when_there_is_space(
    small_disk: Path, undisturbed: dict[str, bytes]
) -> None:
    with closing(new_run(small_disk / "run", TILES)) as store:
        store.record(attempt(0), frame(0))
        fill(small_disk, left=400_000)
        with pytest.raises(OSError, match=r"No space|full"):
            complete(store)
        done = TILES - len(store.missing())
        assert 1 < done < TILES
        read = zarr.open_array(store.path / "raw.zarr", mode="r")
        assert all(np.array_equal(read[tile], frame(tile)) for tile in range(done))
        (small_disk / "ballast").unlink()
        complete(store)
        assert raw_files(store.path) == undisturbed


def test_a_journal_without_space_takes_no_frame_and_keeps_its_notes(small_disk: Path) -> None:
    with closing(new_run(small_disk / "run", TILES)) as store:
        fill(small_disk, left=0)
        with pytest.raises(JournalError, match=r"full|disk I/O"):
            fill_journal(store)
        rows = len(store.journal.attempts())
        store.journal.note("paused", reason="disk")  # a line may still fit, or wait for room
        (small_disk / "ballast").unlink()
        store.record(attempt(0, rows), frame(0))
        assert [event.data for event in store.journal.events()] == [{"reason": "disk"}]
        assert len(store.journal.attempts()) == rows + 1


def test_a_run_can_be_read_on_a_disk_that_cannot_be_written(small_disk: Path) -> None:
    with closing(new_run(small_disk / "run", TILES)) as store:
        store.record(attempt(0), frame(0))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with closing(RunStore(small_disk / "run")) as store:
        assert len(store.journal.attempts()) == 1
        with pytest.raises(OSError, match="Read-only"):
            RunStore.reopen(store.path)


def test_a_frame_keeps_its_pixels_until_the_journal_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory of frames is used again: not while one is on the disk, but not acknowledged."""
    with closing(new_run(tmp_path / "run", TILES)) as store:
        waiting = [(attempt(tile), store.encode(frame(tile))) for tile in range(2)]

        def refuse(*attempts: object) -> None:
            raise JournalError("full")

        with monkeypatch.context() as disk:
            disk.setattr(store.journal, "record", refuse)
            with pytest.raises(JournalError, match="full"):
                store.record_all(waiting)
        later = store.encode(frame(2))
        store.record_all([*waiting, (attempt(2), later)])
    read = zarr.open_array(tmp_path / "run" / "raw.zarr", mode="r")
    assert all(np.array_equal(read[number], frame(number)) for number in range(3))


@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
def test_a_disk_that_keeps_refusing_says_why_and_ends_up_with_the_same_bytes(
    tmp_path: Path, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Read-only for moments: while pixels or slots are written, while they are made durable, while a shard begins."""
    chance, told = np.random.default_rng(1), list[str]()

    def refuse(*arguments: object) -> object:
        if not told or chance.random() < 0.3:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return getattr(os, call)(*arguments)

    with closing(new_run(tmp_path / "run", TILES)) as store:
        monkeypatch.setattr(shard, "os", SimpleNamespace(**vars(os) | {call: refuse}))
        while store.missing():
            try:
                complete(store)
            except OSError as error:
                told.append(str(error))
        assert set(told) == {f"[Errno 30] Read-only file system: '{store.path / 'raw.zarr'}'"}
        assert raw_files(store.path) == undisturbed


def test_a_frame_is_durable_before_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def noting(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def noted(*arguments: object) -> object:
            done = call(*arguments)
            order.append(name)
            return done

        return noted

    with closing(new_run(tmp_path / "run", TILES)) as store:
        store.record(attempt(0), frame(0))
        watched = {name: noting(name, getattr(os, name)) for name in ("pwrite", "fdatasync")}
        monkeypatch.setattr(shard, "os", SimpleNamespace(**vars(os) | watched))
        monkeypatch.setattr(store.journal, "record", noting("row", store.journal.record))
        store.record(attempt(1), frame(1))
    assert order == ["pwrite", "pwrite", "fdatasync", "row"]


def test_a_journal_that_somebody_holds_is_told_and_costs_nothing(
    tmp_path: Path, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "BUSY_S", 0.2)
    with closing(new_run(tmp_path / "run", TILES)) as store:
        store.record(attempt(0), frame(0))
        with closing(sqlite3.connect(store.path / "journal.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalError, match="locked"):
                store.record(attempt(1), frame(1))
            assert not zarr.open_array(store.path / "raw.zarr", mode="r")[1].any()
            began = time.monotonic()
            store.journal.note("paused", reason="locked")
            assert time.monotonic() - began < 5  # ten seconds is what the journal waits for everything else
            other.execute("COMMIT")
        complete(store)
        assert [event.kind for event in store.journal.events()] == ["paused"]
    assert raw_files(store.path) == undisturbed


@pytest.mark.parametrize("fate", [shutil.rmtree, lambda run: run.rename(run.with_name("moved"))])
def test_a_run_that_is_taken_away_is_missed_at_once(tmp_path: Path, fate: Callable[[Path], object]) -> None:
    with closing(new_run(tmp_path / "run", TILES)) as store:
        store.record(attempt(0), frame(0))
        fate(store.path)
        with pytest.raises(FileNotFoundError, match="run"):
            store.record(attempt(1), frame(1))


@pytest.mark.parametrize("part", ["raw.zarr", "journal.db", "raw.zarr/c/0/0/0"])
def test_a_part_of_a_run_that_is_taken_away_is_missed_at_once(tmp_path: Path, part: str) -> None:
    with closing(new_run(tmp_path / "run", TILES)) as store:
        store.record(attempt(0), frame(0))
        gone = store.path / part
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
        with pytest.raises(OSError, match=r"removed|No such file"):
            store.record(attempt(1), frame(1))


class Lives:
    """The process of `lives`, one life after the other."""

    def __init__(self, run: Path, tiles: int) -> None:
        command = [sys.executable, "-m", "tests.acquisition.lives", str(run), str(tiles)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.acknowledged: list[int] = []

    def live(self, frames: int, then_s: float) -> None:
        """One life, killed so long after it stored so many frames."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{frames} {then_s}\n")
        while (line := self._process.stdout.readline().strip()) != "ended":
            self.acknowledged += [int(line)] if line != "all" else []

    def close(self) -> None:
        self._process.communicate()


def test_a_run_killed_at_thirty_moments_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    tiles, chance = 160, np.random.default_rng(5)  # two shards
    with closing(new_run(tmp_path / "undisturbed", tiles)) as store:
        complete(store)
    run = tmp_path / "run"
    with closing(Lives(run, tiles)) as lives:
        for kill in range(30):
            if kill % 3 == 0:  # while the run is laid out or opened again, mostly
                lives.live(frames=0, then_s=chance.uniform(0.001, 0.1))
            else:
                lives.live(frames=chance.integers(1, 5), then_s=chance.uniform(1e-6, 0.004))
            if lives.acknowledged:
                with closing(RunStore(run)) as store:
                    named = [attempt.frame for _, attempt in store.journal.attempts()]
                    assert set(lives.acknowledged) <= set(named)
                read = zarr.open_array(run / "raw.zarr", mode="r")
                assert all(np.array_equal(read[number], frame(number)) for number in lives.acknowledged[-3:])
        assert len(lives.acknowledged) < tiles, "the run was over before its last kill"
        lives.live(frames=tiles + 1, then_s=0)
    with closing(RunStore(run)) as store:
        assert [attempt.frame for _, attempt in store.journal.attempts()] == list(range(tiles))
    assert raw_files(run) == raw_files(tmp_path / "undisturbed")
