"""What storing camera frames costs through the run store, beside what the disk can take and what others do.

All write the same frames (2160 x 2560, uint16, as an sCMOS camera gives them) in turn, in rounds, on the disk of
`--folder`, and the clock runs from the first frame, when files and threads are ready, until all is on the disk. MB/s
are of camera data, whatever becomes of them. All but the disk itself need the processor: on a busy machine they lose.

Two rows are the disk's own: an aligned buffer, O_DIRECT, one file. "each frame durable" promises after every frame
what the run store promises (fdatasync); the ratio that counts is to that row. The run store alone writes a row of its
journal for each frame as well. The peers that count write shards of six frames, as the run store writes shards, each
at once, so that five frames are not safe yet. tensorstore is also asked for a file a frame, four of them under way:
how far that could be surpassed at all, the ratio of the disk to it tells.
"""

import argparse
import json
import mmap
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import acquire_zarr
import numpy as np
import tensorstore
import zarr
from numcodecs import blosc
from numpy.typing import NDArray

from acquisition.field import Field
from acquisition.frame_array import Compression
from acquisition.journal import Attempt, utc_now
from acquisition.layout import layout
from acquisition.plan import Plan
from acquisition.run_store import RunStore
from acquisition.write_behind import WriteBehind

Frame = NDArray[np.uint16]

SHAPE = (2160, 2560)
PAGE = 4096
SHARD = 6  # frames; 66 MB, as large as a peer's buffer may well be
UNDER_WAY = 4
TARGET_OF_DISK = 0.8
TARGET_OF_PEERS = 2.0
DISK = "O_DIRECT, each frame durable"
OURS = "run store"
OURS_COMPRESSED = "run store, compression = lz4"
PEERS = ("tensorstore, shards of six", "acquire-zarr, shards of six")
A_FILE_A_FRAME = "tensorstore, a file a frame"


class Spent(NamedTuple):
    """What writing has cost since `begin`: time on the wall, and of all cores together."""

    wall_s: float
    cores_s: float

    @classmethod
    def begin(cls) -> "Spent":
        return cls(time.perf_counter(), time.process_time())

    def end(self) -> "Spent":
        return Spent(time.perf_counter() - self.wall_s, time.process_time() - self.cores_s)


Way = Callable[[Path, Sequence[Frame]], Spent]
"""Writes frames into a folder that is not there yet."""


def camera_frames(count: int) -> list[Frame]:
    """Structure with shot noise, an offset of 100 and 1.4 electrons of read noise, at a gain of 1."""
    random = np.random.default_rng(1)
    electrons = smooth_frame().astype(np.float64)
    noisy = [random.poisson(electrons) + random.normal(100, 1.4, SHAPE) for _ in range(count)]
    return [frame.clip(0, 65535).astype(np.uint16) for frame in noisy]


def smooth_frame() -> Frame:
    """What a camera without noise would see."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    frame: Frame = (400 + 300 * np.sin(x / 40) * np.sin(y / 30)).astype(np.uint16)
    return frame


def random_frame() -> Frame:
    """What no codec makes smaller."""
    return np.random.default_rng(2).integers(0, 65536, SHAPE, dtype=np.uint16)


def run_store(
    folder: Path,
    frames: Sequence[Frame],
    written: Callable[[Attempt], None] = lambda attempt: None,
    compression: Compression = "none",
) -> Spent:
    """The way that the engine goes, as fast as it takes frames."""
    with (
        closing(new_run(folder, len(frames), compression)) as store,
        WriteBehind(store.record_all, written, store.encode, store.raw.encoders) as writer,
    ):
        began = Spent.begin()
        for number, frame in enumerate(frames):
            writer.put(attempt(number), frame)
        writer.wait_written()
        return began.end()


def new_run(folder: Path, tiles: int, compression: Compression = "none") -> RunStore:
    """A run of at least so many tiles."""
    field = Field(SHAPE, 0.01)
    width_um, height_um = field.size_um
    region = {"x_um": (0, width_um * tiles), "y_um": (0, height_um)}
    plan = Plan.model_validate({"region": region, "storage": {"compression": compression}})
    assert len(layout(plan, field)) >= tiles
    return RunStore.create(folder, plan, field, {})


def attempt(tile: int) -> Attempt:
    return Attempt(
        tile=tile,
        attempt=1,
        row=0,
        col=tile,
        started_at=utc_now(),
        target_x_um=1.0,
        target_y_um=1.0,
        target_z_um=0.0,
        exposure_s=0.02,
        verdict="ok",
    )


def disk_alone(chunks: Sequence[bytes], every: int) -> Way:
    """Write ready-made bytes, one after the other; fdatasync after `every` of them, and at the end."""

    def write(folder: Path, frames: Sequence[Frame]) -> Spent:
        folder.mkdir()
        file = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o644)
        try:
            began, end = Spent.begin(), 0
            for number in range(len(frames)):
                buffer = buffers[number % len(buffers)]
                end += os.pwrite(file, buffer, end)
                if (number + 1) % every == 0:
                    os.fdatasync(file)
            os.fdatasync(file)
            return began.end()
        finally:
            os.close(file)

    buffers = [aligned(chunk) for chunk in chunks]
    return write


def aligned(data: bytes) -> mmap.mmap:
    """The same bytes in whole pages."""
    buffer = mmap.mmap(-1, -(-len(data) // PAGE) * PAGE)
    buffer[: len(data)] = data
    return buffer


def by_tensorstore(shard: int, under_way: int) -> Way:
    """Shards of so many frames, each written at once; so many writes under way. It syncs each file by itself."""

    def write(folder: Path, frames: Sequence[Frame]) -> Spent:
        chunk = {
            "name": "blosc",
            "configuration": {"cname": "lz4", "clevel": 1, "shuffle": "bitshuffle", "typesize": 2},
        }
        inner = {
            "chunk_shape": [1, *SHAPE],
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, chunk],
        }
        sharded = [{"name": "sharding_indexed", "configuration": inner}]
        metadata = {
            "shape": [len(frames), *SHAPE],
            "data_type": "uint16",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [shard, *SHAPE]}},
            "codecs": sharded if shard > 1 else inner["codecs"],
        }
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(folder)}, "metadata": metadata}
        array = tensorstore.open(spec, create=True).result()
        began = Spent.begin()
        pending: list[Any] = []
        for first in range(0, len(frames), shard):
            if len(pending) == under_way:
                pending.pop(0).result()
            block = np.stack(frames[first : first + shard]) if shard > 1 else frames[first][None]
            pending.append(array[first : first + len(block)].write(block))
        for writing in pending:
            writing.result()
        return began.end()

    return write


def by_acquire_zarr(folder: Path, frames: Sequence[Frame]) -> Spent:
    """Shards of six frames; what it leaves in the page cache is brought to the disk at the end."""
    kind, (rows, columns) = acquire_zarr.DimensionType, SHAPE
    dimensions = [
        acquire_zarr.Dimension(name="t", kind=kind.TIME, array_size_px=0, chunk_size_px=1, shard_size_chunks=SHARD),
        acquire_zarr.Dimension(name="y", kind=kind.SPACE, array_size_px=rows, chunk_size_px=rows, shard_size_chunks=1),
        acquire_zarr.Dimension(
            name="x", kind=kind.SPACE, array_size_px=columns, chunk_size_px=columns, shard_size_chunks=1
        ),
    ]
    compression = acquire_zarr.CompressionSettings(
        compressor=acquire_zarr.Compressor.BLOSC1, codec=acquire_zarr.CompressionCodec.BLOSC_LZ4, level=1, shuffle=2
    )
    array = acquire_zarr.ArraySettings(
        dimensions=dimensions, data_type=acquire_zarr.DataType.UINT16, compression=compression
    )
    settings = acquire_zarr.StreamSettings(store_path=str(folder), overwrite=True, arrays=[array])
    stream = acquire_zarr.ZarrStream(settings)
    began = Spent.begin()
    for frame in frames:
        stream.append(frame)
    stream.close()
    for path in [folder, *folder.rglob("*")]:
        opened = os.open(path, os.O_RDONLY)
        os.fsync(opened)
        os.close(opened)
    return began.end()


def measure(ways: dict[str, Way], frames: Sequence[Frame], rounds: int, at: Path) -> dict[str, list[Spent]]:
    """What every way spent in every round."""
    spent: dict[str, list[Spent]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, write in ways.items():
            spent[name].append(write(at / "written", frames))
            shutil.rmtree(at / "written")
    return spent


def speed_mb_per_s(spent: Sequence[Spent], frames: Sequence[Frame]) -> float:
    """Camera data per time on the wall, in the median round."""
    return sum(frame.nbytes for frame in frames) / statistics.median(each.wall_s for each in spent) / 1e6


def readable_when_said(frames: Sequence[Frame], at: Path) -> bool:
    """Whether zarr-python and tensorstore find a frame as soon as the journal has its row."""
    path = at / "written" / "raw.zarr"
    right: list[bool] = []

    def read_back(stored: Attempt) -> None:
        if stored.tile % 5 or stored.frame is None:
            return
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
        for found in (
            np.asarray(zarr.open_array(path, mode="r")[stored.frame]),
            tensorstore.open(spec).result()[stored.frame].read().result(),
        ):
            right.append(np.array_equal(found, frames[stored.tile]))

    run_store(at / "written", frames, read_back)
    shutil.rmtree(at / "written")
    return len(right) > 0 and all(right)


def one_at_a_time_ms(frames: Sequence[Frame], at: Path) -> float:
    """Median time from a frame until it is durable, when the next waits for that: how the engine steps."""
    times_ms = []
    with closing(new_run(at / "written", len(frames))) as store:
        for number, frame in enumerate(frames):
            began = time.perf_counter()
            store.record(attempt(number), frame)
            times_ms.append(1e3 * (time.perf_counter() - began))
    shutil.rmtree(at / "written")
    return statistics.median(times_ms)


def compare(count: int, rounds: int, at: Path) -> dict[str, Any]:
    """Everything, as JSON gives it."""
    load = os.getloadavg()[0]
    few = camera_frames(8)
    frames = [few[number % len(few)] for number in range(count)]
    chunks = [blosc.compress(frame, b"lz4", 1, blosc.BITSHUFFLE) for frame in few]
    pixels = [frame.tobytes() for frame in few]
    ways = {
        OURS: run_store,
        DISK: disk_alone(pixels, every=1),
        "O_DIRECT, synced at the end": disk_alone(pixels, every=count),
        "O_DIRECT, compressed before": disk_alone(chunks, every=1),
        OURS_COMPRESSED: partial(run_store, compression="lz4"),
        PEERS[0]: by_tensorstore(SHARD, 1),
        PEERS[1]: by_acquire_zarr,
        A_FILE_A_FRAME: by_tensorstore(1, UNDER_WAY),
    }
    spent = measure(ways, frames, rounds, at)
    rows = {
        name: {
            "mb_per_s": speed_mb_per_s(its, frames),
            "ours_over_it": statistics.median(
                it.wall_s / ours.wall_s for it, ours in zip(its, spent[OURS], strict=True)
            ),
            "cores_ms_per_frame": 1e3 * statistics.median(it.cores_s for it in its) / count,
        }
        for name, its in spent.items()
    }
    others = {}
    for name, frame in (("smooth", smooth_frame()), ("random", random_frame())):
        alike = [frame] * count
        others[name] = speed_mb_per_s(measure({OURS: run_store}, alike, rounds, at)[OURS], alike)
    readable = readable_when_said(frames[:16], at)
    peers = [rows[name]["ours_over_it"] for name in PEERS]
    return {
        "writers": rows,
        "load_before": load,
        "compression": len(pixels[0]) / statistics.mean(len(chunk) for chunk in chunks),
        "other_frames_mb_per_s": others,
        "one_at_a_time_ms": one_at_a_time_ms(frames, at),
        "readable_when_said": readable,
        "disk_over_a_file_a_frame": rows[A_FILE_A_FRAME]["ours_over_it"] / rows[DISK]["ours_over_it"],
        "met": readable and rows[DISK]["ours_over_it"] >= TARGET_OF_DISK and min(peers) >= TARGET_OF_PEERS,
    }


def main() -> int:
    """Print the comparison; exit code 1 if the run store misses a target."""
    parser = argparse.ArgumentParser(description="Speed of storing camera frames.")
    parser.add_argument("--rounds", type=int, default=7, help="in each of which all write in turn (default 7)")
    parser.add_argument("--frames", type=int, default=96, help="that each writes in a round (default 96)")
    parser.add_argument("--folder", type=Path, default=Path(), help="on the disk in question (default here)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    if options.rounds < 1 or options.frames < SHARD:
        parser.error(
            f"--rounds: {options.rounds} is not above 0, or --frames: {options.frames} is not above {SHARD - 1}"
        )
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        result = compare(options.frames, options.rounds, Path(folder))
    if options.json:
        print(json.dumps(result))
        return 0 if result["met"] else 1
    for name, row in result["writers"].items():
        speed, cores = f"{row['mb_per_s']:6.0f} MB/s", f"{row['cores_ms_per_frame']:5.1f} ms a frame of all cores"
        print(f"{name:30} {speed} {cores}   run store / it {row['ours_over_it']:5.2f}")
    others = ", ".join(f"{name} {speed:.0f}" for name, speed in result["other_frames_mb_per_s"].items())
    print(f"run store on other frames, MB/s: {others}; camera noise compresses {result['compression']:.2f} times")
    print(f"load average before: {result['load_before']:.1f}; above 0.5 somebody else is using the cores")
    print(f"one frame at a time: {result['one_at_a_time_ms']:.1f} ms until it is durable (p50)")
    print(f"read back by zarr-python and tensorstore as soon as journalled: {result['readable_when_said']}")
    print(f"the disk itself is {result['disk_over_a_file_a_frame']:.2f} times as fast as {A_FILE_A_FRAME}")
    targets = f"{TARGET_OF_DISK:g} of the disk with each frame durable, {TARGET_OF_PEERS:g} times those with shards"
    print(f"targets: {targets}: {'met' if result['met'] else 'MISSED'}")
    return 0 if result["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
