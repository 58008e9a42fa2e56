"""The array of raw frames, seen by readers that know nothing of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import numpy as np
import pytest
import tensorstore
import zarr
from numpy.typing import NDArray

from acquisition import durable, shard
from acquisition.frame_array import Compression, FrameArray
from acquisition.shard import CHUNK_HEAD, FRAMES_PER_SHARD, end_of, read_slots

SHAPE = (48, 40)


def frame(number: int) -> NDArray[np.uint16]:
    return np.random.default_rng(number).integers(0, 65536, SHAPE, dtype=np.uint16)


def write(frames: FrameArray, number: int) -> None:
    frames.write(number, [frames.encode(frame(number))])


def by_tensorstore(path: Path) -> NDArray[np.uint16]:
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
    return np.asarray(tensorstore.open(spec).result().read().result())


def test_is_readable_after_every_frame(tmp_path: Path) -> None:
    path = tmp_path / "raw.zarr"
    FrameArray.create(path, SHAPE, 5)
    with FrameArray(path) as frames:
        for number in range(5):
            write(frames, number)
            for read in (np.asarray(zarr.open_array(path, mode="r")[:]), by_tensorstore(path)):
                for written in range(number + 1):
                    assert np.array_equal(read[written], frame(written))
                assert not read[number + 1 :].any()


def test_is_readable_between_any_two_steps_of_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, steps = tmp_path / "raw.zarr", []
    frames = FrameArray.create(path, SHAPE, 3)

    def readable(call: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object) -> object:
            done = call(*arguments)
            read = np.asarray(zarr.open_array(path, mode="r")[:])
            assert all(not each.any() or np.array_equal(each, frame(number)) for number, each in enumerate(read))
            steps.append(call.__name__)
            return done

        return step

    for module in (shard, durable):
        watched = {call.__name__: readable(call) for call in (os.pwrite, os.fdatasync, os.fsync)}
        monkeypatch.setattr(module, "os", SimpleNamespace(**vars(os) | watched))
    write(frames, 0)
    write(frames, 1)
    frames.close()
    assert steps[-6:] == ["pwrite", "pwrite", "fdatasync"] * 2
    assert "fsync" in steps  # of the new shard, and of the folders that it lies in


@pytest.mark.parametrize("compression", ["none", "lz4"])
def test_frames_that_are_written_together_run_over_the_end_of_a_shard(tmp_path: Path, compression: Compression) -> None:
    path, count = tmp_path / "raw.zarr", FRAMES_PER_SHARD + 2
    with FrameArray.create(path, SHAPE, 4, compression) as frames:
        for first in (0, 3, FRAMES_PER_SHARD - 2):
            following = {0: 3, 3: FRAMES_PER_SHARD - 2}.get(first, count)
            frames.write(first, [frames.encode(frame(number)) for number in range(first, following)])
        assert frames.lost(range(count)) == []
    read = (np.asarray(zarr.open_array(path, mode="r")[:]), by_tensorstore(path))
    for number in range(count):
        assert all(np.array_equal(each[number], frame(number)) for each in read)


def test_memory_that_is_used_again_leaves_nothing_behind_a_shorter_frame(tmp_path: Path) -> None:
    with FrameArray.create(tmp_path / "raw.zarr", SHAPE, 2, "lz4") as frames:
        for number, pixels in enumerate((frame(0), np.zeros(SHAPE, np.uint16))):
            frames.write(number, [frames.encode(pixels)])
    shards = tmp_path / "raw.zarr/c/0/0/0"
    assert not any(shards.read_bytes()[end_of(read_slots(shards)) - 3000 :])


def test_goes_on_as_it_began_whatever_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "raw.zarr"
    empty = np.zeros(SHAPE, np.uint16)
    for compression, most in (("lz4", 200), ("none", empty.nbytes + CHUNK_HEAD)):
        FrameArray.create(path / compression, SHAPE, 1, compression)
        assert FrameArray(path / compression).encode(empty).chunk.length <= most


def test_goes_on_in_the_next_shard(tmp_path: Path) -> None:
    path = tmp_path / "raw.zarr"
    frames = FrameArray.create(path, SHAPE, FRAMES_PER_SHARD + 2)
    for number in (0, FRAMES_PER_SHARD - 1, FRAMES_PER_SHARD, FRAMES_PER_SHARD + 1):
        write(frames, number)
    frames.close()
    read = zarr.open_array(path, mode="r")
    for number in (0, FRAMES_PER_SHARD - 1, FRAMES_PER_SHARD, FRAMES_PER_SHARD + 1):
        assert np.array_equal(read[number], frame(number))


def test_appends_to_a_shard_that_was_closed(tmp_path: Path) -> None:
    path = tmp_path / "raw.zarr"
    FrameArray.create(path, SHAPE, 3)
    for number in range(3):
        with FrameArray(path) as frames:
            write(frames, number)
    assert np.array_equal(by_tensorstore(path), np.stack([frame(number) for number in range(3)]))


def test_writes_the_same_without_direct_io(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def written(path: Path) -> bytes:
        with FrameArray.create(path, SHAPE, 2) as frames:
            write(frames, 0)
            write(frames, 1)
        return (path / "c/0/0/0").read_bytes()

    direct = written(tmp_path / "direct.zarr")
    monkeypatch.delattr(shard.os, "O_DIRECT")
    assert written(tmp_path / "ordinary.zarr") == direct


def test_a_frame_is_encoded_alike_in_every_thread(tmp_path: Path) -> None:
    """Blosc's own threads would order the blocks of a frame by chance; this one has some eighty blocks."""
    shape = (1080, 1280)
    pixels = np.random.default_rng(0).poisson(300, shape).astype(np.uint16)
    frames = FrameArray.create(tmp_path / "raw.zarr", shape, 1, "lz4")
    with ThreadPoolExecutor(2) as threads:
        encoded = [frames.encode(pixels), *threads.map(frames.encode, [pixels] * 10)]
    assert len({each.chunk.pages[: each.chunk.length].tobytes() for each in encoded}) == 1
    assert (encoded[0].mean, encoded[0].sd) == pytest.approx((pixels.mean(), pixels.std()))


def test_refuses_a_frame_of_another_shape_or_type_or_beyond_the_end(tmp_path: Path) -> None:
    with FrameArray.create(tmp_path / "raw.zarr", SHAPE, 2) as frames:
        with pytest.raises(ValueError, match="41"):
            frames.encode(np.zeros((48, 41), np.uint16))
        with pytest.raises(ValueError, match="uint8"):
            frames.encode(np.zeros(SHAPE, np.uint8))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"frame 3 is outside 0\.\.2"):
            write(frames, 3)


def test_grows_by_a_frame_when_it_is_full(tmp_path: Path) -> None:
    path = tmp_path / "raw.zarr"
    with FrameArray.create(path, SHAPE, 1) as frames:
        write(frames, 0)
        write(frames, 1)
    assert np.array_equal(by_tensorstore(path), np.stack([frame(0), frame(1)]))
    assert FrameArray(path).lost(range(3)) == [2]


def files(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.mark.parametrize("kept", [0, 1, FRAMES_PER_SHARD, FRAMES_PER_SHARD + 1])
def test_what_is_not_kept_leaves_no_trace(tmp_path: Path, kept: int) -> None:
    """Neither whole frames, nor half of one, nor a shard that was only begun."""
    for path, count in ((tmp_path / "before", kept), (tmp_path / "after", FRAMES_PER_SHARD + 3)):
        with FrameArray.create(path, SHAPE, FRAMES_PER_SHARD + 3) as frames:
            for number in range(count):
                write(frames, number)
    last = tmp_path / "after/c/1/0/0"
    with last.open("ab") as file:
        file.write(b"half a frame")
    FrameArray(tmp_path / "after").keep(kept)
    assert files(tmp_path / "after") == files(tmp_path / "before")


def test_a_failed_write_can_be_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "raw.zarr"
    with FrameArray.create(path, SHAPE, 2) as frames:
        write(frames, 0)
        before = files(path)

        def full_half_way(file: int, data: memoryview, offset: int) -> int:
            if offset == 0:  # the pixels are there already, their slot is not
                raise OSError(28, "No space left on device")
            return os.pwrite(file, data, offset)

        with monkeypatch.context() as disk:
            disk.setattr(shard, "os", SimpleNamespace(**vars(os) | {"pwrite": full_half_way}))
            with pytest.raises(OSError, match="No space"):
                write(frames, 1)
        assert not zarr.open_array(path, mode="r")[1].any()
        assert files(path) != before
        frames.keep(1)
        assert files(path) == before
        write(frames, 1)
    assert np.array_equal(by_tensorstore(path), np.stack([frame(0), frame(1)]))


@pytest.mark.parametrize(
    ("damage", "lost"),
    [
        (lambda file: file.truncate(shard.PAGE + 10), [0, 1, 2]),
        (lambda file: file.truncate(file.seek(0, os.SEEK_END) - shard.PAGE), [2]),
        (lambda file: file.write(b"torn"), [0, 1, 2]),
        (lambda file: (file.seek(shard.PAGE), file.write(bytes(shard.PAGE))), [0]),
    ],
)
def test_knows_which_frames_a_power_cut_took(
    tmp_path: Path, damage: Callable[[BinaryIO], object], lost: list[int]
) -> None:
    path = tmp_path / "raw.zarr"
    with FrameArray.create(path, SHAPE, 3) as frames:
        for number in range(3):
            write(frames, number)
    assert FrameArray(path).lost(range(3)) == []
    with (path / "c/0/0/0").open("r+b") as file:
        damage(file)
    assert FrameArray(path).lost(range(3)) == lost


WRITER = """
import sys
from pathlib import Path
import numpy as np
from acquisition.frame_array import FrameArray
frames = FrameArray(Path(sys.argv[1]))
for number in range(100000):
    frames.write(number % 100, [frames.encode(np.full((48, 40), number % 100 + 1, np.uint16))])
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
