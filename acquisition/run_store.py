"""The run directory: the only thing between acquisition and reconstruction.

    run.json      plan, rig, versions, plan hash; written before the first move, never changed
    journal.db    every attempt at a tile, every event, every measured edge
    raw.zarr/     every accepted frame, as it came

A frame is acknowledged in this order: pixels on the disk, their slot in the shard filled in, the journal's row
committed. Whoever finds the row finds the frame.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from acquisition.journal import Attempt, Journal, JournalError, utc_now
from acquisition.overlap import PlannedTile, tiles
from acquisition.plan import Plan
from acquisition.preflight import Field
from acquisition.shard import FrameArray

RECORDED_VERSIONS = ("nanoraster", "numpy", "opencv-python", "zarr", "pymmcore-plus", "pipython", "pyserial")


class RunError(ValueError):
    """A folder that is no run, or one that cannot be used as asked."""


class RunStore:
    """An open run directory, for its one writer or for any number of readers."""

    def __init__(self, path: Path) -> None:
        """Open a run for reading, finished or not.

        Raises:
            RunError: no run is there, or its `run.json` cannot be read.
        """
        try:
            run = json.loads((path / "run.json").read_text())
            self.plan = Plan.model_validate(run["plan"])
            self.field = Field(tuple(run["field"]["shape_px"]), run["field"]["pixel_size_um"])
            self.rig: dict[str, Any] = run["rig"]
            self.seed: int | None = run["seed"]
            self.raw = FrameArray(path / "raw.zarr")
            self.journal = Journal(path / "journal.db")
        except JournalError as error:
            raise RunError(f"{path}: damaged run: {error}") from error
        except OSError as error:
            raise RunError(f"{path}: not a run directory: {error}") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RunError(f"{path / 'run.json'}: not readable as a run: {error}") from error
        self.path = path
        self._frames = sum(attempt.frame is not None for _, attempt in self.journal.attempts())
        self._hold: int | None = None

    @classmethod
    def create(cls, path: Path, plan: Plan, field: Field, rig: Mapping[str, Any], seed: int | None = None) -> Self:
        """Lay out a new run in an empty or absent folder, and hold it as its one writer until it is closed.

        Raises:
            RunError: something is there already.
        """
        ensure_empty(path)
        path.mkdir(parents=True, exist_ok=True)
        count = len(tiles(plan, field.size_um))
        run = {
            "plan": plan.model_dump(mode="json"),
            "plan_hash": plan.hash,
            "rig": rig,
            "field": {"shape_px": field.shape_px, "pixel_size_um": field.pixel_size_um},
            "tiles": count,
            "seed": seed,
            "versions": {name: version(name) for name in RECORDED_VERSIONS},
            "created_at": utc_now(),
        }
        FrameArray.create(path / "raw.zarr", field.shape_px, count)
        Journal(path / "journal.db", mode="create").close()
        _write_durably(path / "run.json", json.dumps(run, indent=2))
        store = cls(path)
        store._hold = os.open(path / "acquiring.lock", os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(store._hold, fcntl.LOCK_EX)
        return store

    def tiles(self) -> list[PlannedTile]:
        """Every planned tile in the order in which it is taken."""
        return tiles(self.plan, self.field.size_um)

    def record(self, attempt: Attempt, pixels: NDArray[np.uint16] | None) -> Attempt:
        """Store an attempt and, if it is to be kept, its frame; returns when both are durable."""
        if pixels is not None:
            self.raw.write(self._frames, pixels)
            attempt = replace(attempt, frame=self._frames)
            self._frames += 1
        self.journal.record(attempt)
        return attempt

    def is_being_acquired(self) -> bool:
        """Whether a live process holds the run as its writer; the hold ends with that process, however it ends."""
        try:
            probe = os.open(self.path / "acquiring.lock", os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(probe)
        return False

    def release(self) -> None:
        """Say that no frame will follow; whoever follows the run then comes to its end. May be called twice."""
        self.raw.close()
        if self._hold is not None:
            os.close(self._hold)
            self._hold = None

    def close(self) -> None:
        """May be called twice."""
        self.release()
        self.journal.close()


def ensure_empty(path: Path) -> None:
    """Raise RunError unless `path` is absent or an empty folder."""
    if path.is_dir():
        if any(path.iterdir()):
            raise RunError(f"output folder in use: {path} is not empty")
        return
    for part in (path, *path.absolute().parents):
        if part.exists():
            if not part.is_dir():
                raise RunError(f"output folder {path}: {part} is a file")
            return


def _write_durably(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
