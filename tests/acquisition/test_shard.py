"""The append-only shard, seen by readers that know nothing of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import zarr
from numpy.typing import NDArray

from acquisition import shard
from acquisition.shard import FRAMES_PER_SHARD, FrameArray

SHAPE = (48, 40)


def frame(number: int) -> NDArray[np.uint16]:
    return np.random.default_rng(number).integers(0, 65536, SHAPE, dtype=np.uint16)


def by_tensorstore(path: Path) -> NDArray[np.uint16]:
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
    return np.asarray(tensorstore.open(spec).result().read().result())


def test_is_readable_after_every_frame(tmp_path: Path) -> None:
    path = tmp_path / "raw.zarr"
    FrameArray.create(path, SHAPE, 5)
    with FrameArray(path) as frames:
        for number in range(5):
            frames.write(number, frame(number))
            for read in (np.asarray(zarr.open_array(path, mode="r")[:]), by_tensorstore(path)):
                for written in range(number + 1):
                    assert np.array_equal(read[written], frame(written))
                assert not read[number + 1 :].any()


def test_goes_on_in_the_next_shard(tmp_path: Path) -> None:
    path = tmp_path / "raw.zarr"
    frames = FrameArray.create(path, SHAPE, FRAMES_PER_SHARD + 2)
    for number in (0, FRAMES_PER_SHARD - 1, FRAMES_PER_SHARD, FRAMES_PER_SHARD + 1):
        frames.write(number, frame(number))
    frames.close()
    read = zarr.open_array(path, mode="r")
    for number in (0, FRAMES_PER_SHARD - 1, FRAMES_PER_SHARD, FRAMES_PER_SHARD + 1):
        assert np.array_equal(read[number], frame(number))


def test_appends_to_a_shard_that_was_closed(tmp_path: Path) -> None:
    path = tmp_path / "raw.zarr"
    FrameArray.create(path, SHAPE, 3)
    for number in range(3):
        with FrameArray(path) as frames:
            frames.write(number, frame(number))
    assert np.array_equal(by_tensorstore(path), np.stack([frame(number) for number in range(3)]))


def test_writes_the_same_without_direct_io(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(path: Path) -> bytes:
        with FrameArray.create(path, SHAPE, 2) as frames:
            frames.write(0, frame(0))
            frames.write(1, frame(1))
        return (path / "c/0/0/0").read_bytes()

    direct = write(tmp_path / "direct.zarr")
    monkeypatch.delattr(shard.os, "O_DIRECT")
    assert write(tmp_path / "ordinary.zarr") == direct


def test_refuses_a_frame_of_another_shape_or_type_or_beyond_the_end(tmp_path: Path) -> None:
    with FrameArray.create(tmp_path / "raw.zarr", SHAPE, 2) as frames:
        with pytest.raises(ValueError, match="frame 0"):
            frames.write(0, np.zeros((48, 41), np.uint16))
        with pytest.raises(ValueError, match="uint8"):
            frames.write(0, np.zeros(SHAPE, np.uint8))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"frame 2 is outside 0\.\.1"):
            frames.write(2, frame(2))


def test_a_failed_write_leaves_the_array_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "raw.zarr"
    with FrameArray.create(path, SHAPE, 2) as frames:
        frames.write(0, frame(0))

        def full(*_: object) -> int:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as disk:
            disk.setattr(shard.os, "pwrite", full)
            with pytest.raises(OSError, match="No space"):
                frames.write(1, frame(1))
        assert not zarr.open_array(path, mode="r")[1].any()
        frames.write(1, frame(1))
    assert np.array_equal(by_tensorstore(path), np.stack([frame(0), frame(1)]))


WRITER = """
import sys
from pathlib import Path
import numpy as np
from acquisition.shard import FrameArray
frames = FrameArray(Path(sys.argv[1]))
for number in range(100000):
    frames.write(number % 100, np.full((48, 40), number % 100 + 1, np.uint16))
    print(number % 100, flush=True)
"""


def test_survives_the_end_of_its_writer_without_repair(tmp_path: Path) -> None:
    path = tmp_path / "raw.zarr"
    FrameArray.create(path, SHAPE, 100)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    said = [int(writer.stdout.readline()) for _ in range(37)]
    os.kill(writer.pid, signal.SIGKILL)
    said += [int(line) for line in writer.communicate()[0].split()]
    for read in (np.asarray(zarr.open_array(path, mode="r")[:]), by_tensorstore(path)):
        assert all((read[number] == number + 1).all() for number in said)
