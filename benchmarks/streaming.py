"""Stitching while the scan runs: the worker fed by a camera's clock, tile by tile in the order of the scan.

    python -m benchmarks.streaming

Four things. `places`: how far the final places are from those of one batch (set A). `visible`: how long after its
exposure a tile shows in `mosaic.zarr`, watched from another process, with 2160 x 2560 px frames exposed 15 times a
second. `speed`: how many such frames a second the worker registers, places and shows when it never has to wait, and how
long it then takes to draw all of them for good. `memory`: anonymous memory of
the worker's process after 100, 1,000 and 10,000 tiles, small ones (96 x 96 px), as it is their number that counts.

Frames come from files that are mapped into memory, so that they are not counted as the worker's.
"""

import argparse
import json
import math
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from api.heap import give_back, settle_heap
from benchmarks.tile_sets import SETS, Recipe, TileSet
from reconstruction.opened_array import opened_array
from reconstruction.registration import Edge
from reconstruction.restore import restorer
from reconstruction.sources import Tile
from reconstruction.worker import Progress, Reconstruction, follow

CAMERA = replace(SETS["A"], grid=(10, 12), tile_px=(2160, 2560))
MANY = replace(SETS["A"], grid=(100, 100), tile_px=(96, 96), overlap=0.3, jitter_px=1.0, backlash_px=1.0)
RATE_PER_S = 15.0
BATCH = 16
TILES_AT = (100, 1000, 10_000)
POLL_S = 0.02
PATCH_PX = 4
PATIENCE_S = 120.0
TARGETS = {"places_px": 0.05, "visible_last_s": 2.0, "frames_per_s": 15.0, "memory_kb_per_tile": 10.0}
"""At most, but for `frames_per_s`. A tile's place and edges must be kept, a few kB; its frame has 11,000."""


@dataclass
class Camera:
    """Frames of a set on the disk, exposed at fixed times; fulfils `FrameSource`.

    With `every_s` 0 there is always a full batch waiting.
    """

    folder: Path
    every_s: float
    batch: int
    heard: Callable[[float], None] = lambda began: None
    pixel_size_um: float | None = None
    _frames: NDArray[Any] = field(init=False)

    def __post_init__(self) -> None:
        self._frames = np.load(self.folder / "frames.npy", mmap_mode="r")
        claimed = np.load(self.folder / "claimed.npy")
        self._tiles = [Tile(index, f"{index:05}", float(x), float(y)) for index, (x, y) in enumerate(claimed)]
        self.tile_shape = self._frames.shape[1], self._frames.shape[2]
        self.dtype = self._frames.dtype

    def planned(self) -> list[Tile]:
        return self._tiles

    def follow(self) -> Iterator[list[Tile]]:
        """Give what was exposed meanwhile."""
        began, given = time.monotonic(), 0
        self.heard(began)
        while given < len(self._tiles):
            if self.every_s:
                exposed = min(int((time.monotonic() - began) / self.every_s), len(self._tiles))
            else:
                exposed = min(given + self.batch, len(self._tiles))
            yield self._tiles[given:exposed]
            if exposed == given:
                time.sleep(max(began + (given + 1) * self.every_s - time.monotonic(), 0.0))
            given = exposed

    def pixels(self, tile: Tile) -> NDArray[Any]:
        return np.array(self._frames[tile.index])

    def known_edges(self) -> list[Edge]:
        return []

    def report_edge(self, edge: Edge) -> None:
        """Keep nothing."""


def write_frames(recipe: Recipe, seed: int, folder: Path) -> None:
    """Draw a set into a file, in the order of its columns, for which the specimen is drawn once."""
    folder.mkdir()
    tiles = TileSet(recipe, seed)
    shape = (len(tiles.cells), *recipe.tile_px)
    frames = np.lib.format.open_memmap(folder / "frames.npy", mode="w+", dtype=recipe.dtype, shape=shape)
    for index in sorted(range(len(tiles.cells)), key=lambda i: (tiles.cells[i][1], tiles.cells[i][0])):
        frames[index] = tiles.frame(index)
    frames.flush()
    np.save(folder / "claimed.npy", tiles.claimed_px)


def work(folder: Path, out: Path, every_s: float, batch: int, to: Connection) -> None:
    """Follow a camera in a process of its own; tells when it began, and at the end what came of it."""
    memory_mb: dict[int, float] = {}

    def heard(progress: Progress) -> None:
        give_back(frame_bytes)  # as the worker does
        for count in TILES_AT:
            if progress.tiles >= count and count not in memory_mb:
                memory_mb[count] = anonymous_mb()

    camera = Camera(folder, every_s, batch, to.send)
    frame_bytes = math.prod(camera.tile_shape) * camera.dtype.itemsize
    settle_heap(frame_bytes)
    began, cpu_s = time.perf_counter(), time.process_time()
    made = follow(camera, out, restorer("none"), heard)
    took = {
        "shown_s": made.seconds["shown"],
        "wall_s": time.perf_counter() - began,
        "cpu_s": time.process_time() - cpu_s,
    }
    to.send({"places": places(made), "memory_mb": memory_mb, **took})


def places(made: Reconstruction) -> list[tuple[float, float]]:
    """Give the final places, by index."""
    return [(made.placement.tiles[i].x_px, made.placement.tiles[i].y_px) for i in sorted(made.placement.tiles)]


def anonymous_mb() -> float:
    """Tell how much memory this process has for itself, mapped files left out (Linux)."""
    status = Path("/proc/self/status").read_text()
    return float(status.split("RssAnon:")[1].split()[0]) * 1024 / 1e6


def streamed(
    folder: Path, out: Path, every_s: float, batch: int, watch: Callable[[float], dict[str, Any]] = lambda began: {}
) -> dict[str, Any]:
    """Let another process follow a camera while this one watches; what both found."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(folder, out, every_s, batch, there))
    process.start()
    there.close()
    try:
        return watch(here.recv()) | here.recv()
    finally:
        process.join()


def visible_after_s(folder: Path, mosaic: Path, every_s: float) -> Callable[[float], dict[str, Any]]:
    """Make a watcher of the mosaic, which says how long after its exposure each tile was seen, in the scan's order."""
    claimed, frames = np.load(folder / "claimed.npy"), np.load(folder / "frames.npy", mmap_mode="r")
    middle = np.array(frames.shape[:0:-1]) / 2

    def watch(began: float) -> dict[str, Any]:
        after_s = []
        for index, place in enumerate(claimed):
            exposed = began + (index + 1) * every_s
            while not shows(mosaic, place + middle):
                if time.monotonic() > exposed + PATIENCE_S:
                    raise TimeoutError(f"tile {index} is not in {mosaic} after {PATIENCE_S:g} s")
                time.sleep(POLL_S)
            after_s.append(max(time.monotonic() - exposed, 0.0))
        return {"visible_after_s": after_s}

    return watch


def shows(mosaic: Path, place_px: NDArray[np.float64]) -> bool:
    """Tell whether there is anything in a mosaic about a place (x, y)."""
    try:
        multiscale = json.loads((mosaic / "raw" / "zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]
        y, x = multiscale["datasets"][0]["coordinateTransformations"][1]["translation"]
        array = opened_array(mosaic / "raw" / "0")
        left, top = round(place_px[0] - x), round(place_px[1] - y)
        return bool(array[top : top + PATCH_PX, left : left + PATCH_PX].read().result().any())
    except (OSError, ValueError):  # not there yet, or just being replaced
        return False


def compare(seed: int, at: Path, parts: list[str]) -> dict[str, Any]:
    """Measure what was asked for."""
    found: dict[str, Any] = {"load_before": os.getloadavg()[0]}
    if "places" in parts:
        write_frames(SETS["A"], seed, at / "a")
        count = len(np.load(at / "a" / "claimed.npy"))
        batch = np.array(streamed(at / "a", at / "a_batch", 0, count)["places"])
        away = np.array(streamed(at / "a", at / "a_stream", 0, 1)["places"]) - batch
        found["places_px"] = float(np.hypot(*away.T).max())
    if {"visible", "speed"} & set(parts):
        write_frames(CAMERA, seed, at / "camera")
        count = len(np.load(at / "camera" / "claimed.npy"))
    if "visible" in parts:
        out, every_s = at / "camera_live", 1 / RATE_PER_S
        made = streamed(at / "camera", out, every_s, 1, visible_after_s(at / "camera", out / "mosaic.zarr", every_s))
        found["visible_last_s"] = made["visible_after_s"][-1]
        found["visible_most_s"] = max(made["visible_after_s"])
        found["visible_median_s"] = float(np.median(made["visible_after_s"]))
    if "speed" in parts:
        made = streamed(at / "camera", at / "camera_fast", 0, BATCH)
        found["frames_per_s"] = count / made["shown_s"]
        found["then_drawn_in_s"] = made["wall_s"] - made["shown_s"]
        found["cpu_ms_per_frame"] = 1e3 * made["cpu_s"] / count
    if "memory" in parts:
        write_frames(MANY, seed, at / "many")
        made = streamed(at / "many", at / "many_out", 0, BATCH)
        found["memory_mb"] = made["memory_mb"]
        grown_mb = made["memory_mb"][TILES_AT[-1]] - made["memory_mb"][TILES_AT[0]]
        found["memory_kb_per_tile"] = 1e3 * grown_mb / (TILES_AT[-1] - TILES_AT[0])
        found["small_tiles_per_s"] = TILES_AT[-1] / made["wall_s"]
    return found | {"met": {name: _met(name, found[name]) for name in TARGETS if name in found}}


def _met(name: str, value: float) -> bool:
    return value >= TARGETS[name] if name == "frames_per_s" else value <= TARGETS[name]


def main() -> int:
    """Print what was measured; exit code 1 if a target is missed."""
    parser = argparse.ArgumentParser(description="Stitching while the scan runs.")
    parts = ["places", "visible", "speed", "memory"]
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts, help="default: all")
    parser.add_argument("--seed", type=int, default=1, help="0 or more (default 1)")
    parser.add_argument("--work", type=Path, help="for 2 GB for a while (default: the temporary folder)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    if options.seed < 0:
        parser.error(f"--seed: {options.seed} is below 0")
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        found = compare(options.seed, Path(folder), options.parts)
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            target = ""
            if name in TARGETS:
                bound = "at least" if name == "frames_per_s" else "at most"
                target = f"   {bound} {TARGETS[name]:g}: {'met' if found['met'][name] else 'MISSED'}"
            if name != "met":
                print(f"{name:20} {f'{value:.4g}' if isinstance(value, float) else value}{target}")
    return 0 if all(found["met"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
