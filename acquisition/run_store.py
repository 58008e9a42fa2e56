"""The run directory: the only thing between acquisition and reconstruction.

    run.json      plan, rig, versions, plan hash; written before the first move, never changed
    journal.db    every attempt at a tile, every event, every measured edge
    raw.zarr/     every accepted frame, as it came

A frame is acknowledged in this order: pixels on the disk, their slot in the shard filled in, the journal's row
committed. Whoever finds the row finds the frame. What a crash leaves of a frame that has no row yet is taken away
when the run is opened again, so that its files end up the same as if nothing had happened.
"""

import errno
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from acquisition.durable import make_folders, sync, write_durably
from acquisition.field import Field, as_matrix
from acquisition.frame_array import DESCRIPTION, EncodedFrame, FrameArray
from acquisition.journal import TOLD, Attempt, Journal, JournalError, utc_now
from acquisition.layout import Correction, layout
from acquisition.overlap import PlannedTile
from acquisition.plan import Plan, hash_of
from acquisition.run_folder import JOURNAL, LOCK, NEVER_BEGAN, RAW, RUN, hold, is_held, never_began
from acquisition.run_folder import RunError as RunError
from acquisition.run_folder import ensure_empty as ensure_empty
from devices.model import reasons

RECORDED_VERSIONS = ("nanoraster", "numpy", "opencv-python", "zarr", "pymmcore-plus", "pipython", "pyserial")
MOST_NAMED = 10  # lost frames in a message


class RunStore:
    """An open run directory, for its one writer or for any number of readers."""

    def __init__(self, path: Path) -> None:
        """Open a run for reading, finished or not.

        Raises:
            RunError: no run is there, or its `run.json` cannot be read.
        """
        try:
            run = json.loads((path / RUN).read_text())
            self.plan = Plan.model_validate(run["plan"])
            self.field = _field(run["field"])
            self.rig: dict[str, Any] = run["rig"]
            self.seed: int | None = run["seed"]
            self._plan_hash = run["plan_hash"]
            self._plan_as_it_is = hash_of(run["plan"])
            self.raw = _frames_of(path)
            self.journal = Journal(path / JOURNAL)
        except RunError:
            raise
        except JournalError as error:
            raise RunError(f"{path}: damaged run: {error}") from error
        except OSError as error:
            reason = NEVER_BEGAN if never_began(path) else f"not a run directory: {error}"
            raise RunError(f"{path}: {reason}") from error
        except ValidationError as error:
            raise RunError(f"{path / RUN}: not readable as a run: plan: {'; '.join(reasons(error))}") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RunError(f"{path / RUN}: not readable as a run: {error}") from error
        self.path = path
        self._hold: int | None = None
        self._frames = 0
        self._unsure = False

    @classmethod
    def create(cls, path: Path, plan: Plan, field: Field, rig: Mapping[str, Any], seed: int | None = None) -> Self:
        """Lay out a new run in an empty or absent folder, and hold it as its one writer until it is closed.

        `run.json` is written last: a folder without it is that of a run that never began.

        Raises:
            RunError: something is there already.
            OSError: the disk refused.
        """
        ensure_empty(path)
        make_folders(path)
        count = len(layout(plan, field))
        run = {
            "plan": plan.model_dump(mode="json"),
            "plan_hash": plan.hash,
            "rig": rig,
            "field": asdict(field),
            "tiles": count,
            "seed": seed,
            "versions": {name: version(name) for name in RECORDED_VERSIONS},
            "created_at": utc_now(),
        }
        held = hold(path)
        try:
            FrameArray.create(path / RAW, field.shape_px, count, plan.storage.compression)
            Journal(path / JOURNAL, mode="create").close()
            sync(path)
            write_durably(path / RUN, json.dumps(run, indent=2))
            store = cls(path)
        except BaseException:
            os.close(held)
            raise
        store._hold = held
        return store

    @classmethod
    def reopen(cls, path: Path, plan: Plan | None = None, mend: bool = False) -> Self:
        """Open an interrupted run, and hold it as its one writer; raw frames are again what the journal says.

        Args:
            plan: to be told when it is another than the run's.
            mend: find damaged frames again, as far as their chunks are whole, and give up the others, so that
                their tiles are missing; the journal says which.

        Raises:
            RunError: no run is there, another process acquires it, its plan is not what it was, frames that the
                journal names are gone, or one that it names is claimed twice.
            OSError: the disk refused.
        """
        store = cls(path)
        try:
            store._hold = hold(path)
            store._check_plan(plan)
            store.journal.add_new_columns()
            store._go_back_to_journal(mend)
        except BaseException:
            store.close()
            raise
        return store

    def tiles(self) -> list[PlannedTile]:
        """Every tile in the order in which it is taken, as the plan lays them out and the overlaps corrected it.

        Of a run that follows a video, those that were taken.
        """
        if self.plan.follows_video:
            attempts = (attempt for _, attempt in self.journal.attempts())
            return [PlannedTile(a.tile, a.row, a.col, a.target_x_um, a.target_y_um) for a in attempts]
        return layout(self.plan, self.field, self.corrections())

    def corrections(self) -> list[Correction]:
        """What the overlaps have shown of the camera's place in the scanner's frame, in their order."""
        return [Correction.noted(event.data) for event in self.journal.events(kind="overlap_corrected")]

    def field_as_measured(self) -> Field:
        """The field of view as it was last corrected."""
        corrections = self.corrections()
        return self.field.seen_as(corrections[-1].matrix_um) if corrections else self.field

    def missing(self) -> list[PlannedTile]:
        """Planned tiles without an accepted frame, in planned order."""
        taken = {attempt.tile for _, attempt in self.journal.attempts() if attempt.frame is not None}
        return [tile for tile in self.tiles() if tile.index not in taken]

    def to_take(self) -> list[PlannedTile]:
        """Those that are missing, less those that somebody had skipped: these are left alone, also when it goes on."""
        last = {attempt.tile: attempt for _, attempt in self.journal.attempts()}
        return [tile for tile in self.missing() if tile.index not in last or last[tile.index].cause != TOLD]

    def attempts(self) -> Counter[int]:
        """How often each tile was tried so far."""
        return Counter(attempt.tile for _, attempt in self.journal.attempts())

    def encode(self, pixels: NDArray[np.uint16]) -> EncodedFrame:
        """Do ahead, in whatever thread, what `record` would else do before it writes a frame (y, x)."""
        return self.raw.encode(pixels)

    def record(self, attempt: Attempt, frame: NDArray[np.uint16] | EncodedFrame | None) -> Attempt:
        """Store one attempt, as `record_all` does."""
        return self.record_all([(attempt, frame)])[0]

    def record_all(self, taken: Sequence[tuple[Attempt, NDArray[np.uint16] | EncodedFrame | None]]) -> list[Attempt]:
        """Store attempts and, of those that are to be kept, their frames (y, x); returns when all are durable.

        Mean, standard deviation and sharpness of a frame are entered where the attempt has none.

        Raises:
            OSError: one of them could not be stored, so none counts; the same attempts may be recorded again.
            RunError: the run is not open for writing.
        """
        self._check_folder()
        if self._unsure:
            self._go_back()
        attempts: list[Attempt] = []
        frames: list[EncodedFrame] = []
        for attempt, frame in taken:
            if frame is not None:
                encoded = frame if isinstance(frame, EncodedFrame) else self.encode(frame)
                attempt = _with_frame(attempt, self._frames + len(frames), encoded)
                frames.append(encoded)
            attempts.append(attempt)
        try:
            if frames:
                self.raw.write(self._frames, frames)
            self.journal.record(*attempts)
        except OSError:
            self._unsure = True
            with suppress(OSError):
                self._go_back()  # at once, for what half a frame takes of a full disk may be what the journal needs
            raise
        self._frames += len(frames)
        return attempts

    def is_being_acquired(self) -> bool:
        """Whether a live process holds the run as its writer; the hold ends with that process, however it ends."""
        return is_held(self.path)

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

    def _check_plan(self, plan: Plan | None) -> None:
        if self._plan_as_it_is != self._plan_hash:
            raise RunError(
                f"{self.path / RUN}: its plan was changed: plan_hash = {self._plan_hash}, is {self._plan_as_it_is}"
            )
        if plan is not None and plan.hash != self.plan.hash:
            raise RunError(f"{self.path}: begun with another plan: its hash is {self.plan.hash}, not {plan.hash}")

    def _go_back_to_journal(self, mend: bool) -> None:
        """Take away what the journal does not name, once all that it names is known to be there."""
        named = self._named_frames()
        damaged = sorted(self.raw.lost(named))
        if damaged and not mend:
            raise RunError(
                f"{self.path / RAW}: {len(damaged)} frames that the journal names are damaged: {_some(damaged)}; "
                "mend the run, which finds what is whole and takes the rest again"
            )
        if damaged:
            named -= self._mend(damaged)
        self._frames = max(named, default=-1) + 1
        self._go_back()

    def _named_frames(self) -> set[int]:
        """The frames that the journal names, each of which is one tile's."""
        tiles: dict[int, int] = {}
        for _, attempt in self.journal.attempts():
            if attempt.frame is None:
                continue
            if attempt.frame in tiles:
                raise RunError(
                    f"{self.path / JOURNAL}: tiles {tiles[attempt.frame]} and {attempt.tile} both claim frame "
                    f"{attempt.frame}"
                )
            tiles[attempt.frame] = attempt.tile
        return set(tiles)

    def _mend(self, damaged: Sequence[int]) -> set[int]:
        """Find damaged frames again and give up the others; those given up."""
        self.raw.mend()
        lost = self.raw.lost(damaged)
        self.journal.give_up(lost, "its frame was damaged on the disk")
        self.journal.add_event("run_mended", damaged=len(damaged), lost=sorted(lost))
        return set(lost)

    def _go_back(self) -> None:
        self.raw.keep(self._frames)
        self._unsure = False

    def _check_folder(self) -> None:
        """Raise unless the run is open for writing, and still where it was.

        What is written to files that were removed meanwhile is lost without an error.
        """
        if self._hold is None:
            raise RunError(f"{self.path}: open for reading only")
        held, there = os.fstat(self._hold), os.stat(self.path / LOCK)
        if (held.st_dev, held.st_ino) != (there.st_dev, there.st_ino) or not (self.path / JOURNAL).exists():
            raise FileNotFoundError(errno.ENOENT, "the run has been moved or removed", str(self.path))


def _with_frame(attempt: Attempt, number: int, frame: EncodedFrame) -> Attempt:
    mean = frame.mean if attempt.mean is None else attempt.mean
    sd = frame.sd if attempt.sd is None else attempt.sd
    score = frame.focus_score if attempt.focus_score is None else attempt.focus_score
    return replace(attempt, frame=number, mean=mean, sd=sd, focus_score=score)


def _frames_of(path: Path) -> FrameArray:
    try:
        return FrameArray(path / RAW)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"{path / RAW / DESCRIPTION}: damaged, it cannot be read") from error


def _field(noted: Mapping[str, Any]) -> Field:
    matrix = noted.get("camera_to_stage_um")
    return Field(tuple(noted["shape_px"]), noted["pixel_size_um"], as_matrix(matrix) if matrix else None)


def _some(numbers: Sequence[int]) -> str:
    more = f" and {len(numbers) - MOST_NAMED} more" if len(numbers) > MOST_NAMED else ""
    return ", ".join(map(str, numbers[:MOST_NAMED])) + more
