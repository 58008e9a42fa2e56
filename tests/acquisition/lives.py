"""A run of frames of known content, recorded by processes that are killed.

`python -m tests.acquisition.lives RUN TILES` begins a life with every line on stdin, `FRAMES SECONDS`: the kernel kills
it so long after it has stored so many frames (an alarm that nobody handles: no Python runs any more, as with SIGKILL,
and no busy machine delays it). A life goes on with the run where the last one ended, says the number of each frame
that was acknowledged, and `all` if it comes so far; `ended` follows.
"""

import os
import signal
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acquisition.field import Field
from acquisition.journal import Attempt
from acquisition.plan import Plan
from acquisition.run_folder import discard_unbegun
from acquisition.run_store import RunStore

SHAPE = (128, 128)


def new_run(path: Path, tiles: int) -> RunStore:
    """A run of one row of tiles."""
    field = Field(SHAPE, 0.1)
    width_um, height_um = field.size_um
    region = {"x_um": (0, tiles * width_um), "y_um": (0, height_um)}
    plan = Plan.model_validate({"region": region, "tiles": {"overlap": 0}})
    return RunStore.create(path, plan, field, rig={})


def attempt(tile: int, number: int = 1) -> Attempt:
    now = "2026-01-01T00:00:00.000000+00:00"
    return Attempt(tile, number, 0, tile, now, 1.0, 1.0, None, 0.02, verdict="ok")


def frame(tile: int) -> NDArray[np.uint16]:
    """Of which no two are alike, and which no codec makes smaller."""
    return np.random.default_rng(tile).integers(0, 65536, SHAPE, dtype=np.uint16)


def raw_files(run: Path) -> dict[str, bytes]:
    """Every file of the raw frames, byte for byte."""
    raw = run / "raw.zarr"
    return {str(file.relative_to(raw)): file.read_bytes() for file in raw.rglob("*") if file.is_file()}


def go_on(path: Path, tiles: int, frames: int, then_s: float) -> None:
    """Begin a run or take it up again, and record what is missing."""
    if frames == 0:
        signal.setitimer(signal.ITIMER_REAL, then_s)
    discard_unbegun(path)
    store = RunStore.reopen(path) if (path / "run.json").exists() else new_run(path, tiles)
    for count, tile in enumerate(store.missing(), 1):
        say(store.record(attempt(tile.index), frame(tile.index)).frame)
        if count == frames:
            signal.setitimer(signal.ITIMER_REAL, then_s)
    say("all")
    store.close()


def say(what: object) -> None:
    os.write(sys.stdout.fileno(), f"{what}\n".encode())


if __name__ == "__main__":
    for line in sys.stdin:
        if os.fork() == 0:
            frames, then_s = line.split()
            go_on(Path(sys.argv[1]), int(sys.argv[2]), int(frames), float(then_s))
            os._exit(0)
        os.wait()
        say("ended")
