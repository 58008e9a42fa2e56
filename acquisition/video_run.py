"""A run that follows a live video: pictures become tiles by their measured overlap, while somebody moves the stage.

There is no grid: each chosen picture is a tile where the pictures show it to lie, with the centre of the first one at
(0 um, 0 um), and its row counts the stretches between gaps. The rest of the run is like any other.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from acquisition.field import Field
from acquisition.instructions import Instructions
from acquisition.journal import Attempt
from acquisition.plan import Plan
from acquisition.run_store import RunStore
from acquisition.states import Outcome
from devices.errors import DeviceError, Stopped, VideoEnded
from devices.protocols import VideoFrame, VideoSource
from devices.troubles import overcome
from reconstruction.video_choice import Band, Chooser, Chosen, Standing
from reconstruction.video_pictures import Picture
from reconstruction.video_refresh import WholeScans
from reconstruction.video_view import Viewer

TRIES = 5  # openings of a source that fails, one after the other
LEAST_IN_BAND = 2.0  # pictures while the overlap goes through the band; of fewer, one may be flawed
WARN_S = 1.0  # before the overlap leaves the band: what an operator needs to slow down
WARN_AGAIN_S = 2.0


@dataclass(frozen=True)
class VideoWatcher:
    """Who is told how the view stands, with each picture; of each tile once it is durable; and what should be done."""

    stands: Callable[[Standing], None] = lambda standing: None
    acquired: Callable[[Attempt], None] = lambda attempt: None
    warned: Callable[[str], None] = lambda warning: None


def plan_of(name: str, band: Band, model: str) -> Plan:
    """Describe a run that follows a video, for its `run.json`."""
    tiles = {"overlap": band.middle, "overlap_band": (band.low, band.high)}
    wanted = {"name": name, "region": {"follows": "video"}, "tiles": tiles, "reconstruction": {"model": model}}
    return Plan.model_validate(wanted)


def follow_video(
    store: RunStore, source: VideoSource, first: VideoFrame, told: Instructions, watcher: VideoWatcher = VideoWatcher()
) -> Outcome:
    """Take tiles until somebody ends it, or a recording does: either way the run is complete.

    Args:
        first: what `source` delivered first; the run's field is of its shape.

    Raises:
        DeviceError: the source is gone and does not come back.
        OSError: a frame or a line of the journal could not be stored.
    """
    store.journal.add_event("run_started", follows="video")
    run = _VideoRun(store, watcher)
    try:
        with told.cutting(source.stop):
            for frame in _frames(source, first, told):
                run.take(frame)
        told.notice()
        run.end()
    except Exception as error:
        store.journal.note("run_failed", reason=str(error))
        raise
    store.journal.note("run_completed", reason=told.why_ends, **run.facts())
    return Outcome.COMPLETED


def _frames(source: VideoSource, first: VideoFrame, told: Instructions) -> Iterator[VideoFrame]:
    """Frames until there are no more, or nobody wants more; a source that fails is opened again a few times."""
    yield first
    failures = 0
    while not told.stopped:
        try:
            frame = source.read_frame()
        except (Stopped, VideoEnded):
            return
        except DeviceError as error:
            failures += 1
            if failures >= TRIES:
                raise
            overcome(error)
            continue
        failures = 0
        yield frame


class _VideoRun:
    """The run under way."""

    def __init__(self, store: RunStore, watcher: VideoWatcher) -> None:
        low, high = store.plan.tiles.overlap_band or (Band().low, Band().high)
        self._band = Band(low, high)
        self._chooser = Chooser(self._band, Viewer(store.field.shape_px))
        self._scans = WholeScans()
        self._store = store
        self._watcher = watcher
        self._taken = self._gaps_told = 0
        self._row, self._col = 0, -1
        self._before_s: float | None = None
        self._tile_s = time.monotonic()
        self._warned_s = -WARN_AGAIN_S

    def take(self, frame: VideoFrame) -> None:
        """Look at a frame."""
        for whole in self._scans.add(Picture(frame.pixels, frame.number, frame.time_s)):
            self._look(whole)

    def end(self) -> None:
        """Take what was kept back."""
        for whole in self._scans.end():
            self._look(whole)
        for chosen in self._chooser.end():
            self._record(chosen)

    def facts(self) -> dict[str, object]:
        """What became of the frames."""
        return {"frames": self._chooser.seen, "mixed": self._scans.mixed, "rejected": dict(self._chooser.rejected)}

    def _look(self, picture: Picture) -> None:
        for chosen in self._chooser.add(picture):
            self._record(chosen)
        for gap in self._chooser.gaps[self._gaps_told :]:
            self._gaps_told += 1
            bridged_um = [value * self._store.field.pixel_size_um for value in gap.bridged_px]
            self._store.journal.note("video_gap", frame=gap.number, seconds=gap.seconds, bridged_um=bridged_um)
            self._watcher.warned(f"frame {gap.number}: the way could not be measured for {gap.seconds:.1f} s")
        period_s = None if self._before_s is None else picture.time_s - self._before_s
        self._before_s = picture.time_s
        standing = self._chooser.standing
        if standing is not None:
            self._watcher.stands(standing)
            if period_s is not None and picture.time_s - self._warned_s >= WARN_AGAIN_S:
                self._warn(standing, period_s, picture.time_s)

    def _warn(self, standing: Standing, period_s: float, now_s: float) -> None:
        """Say it before the overlap leaves the band with nothing chosen."""
        leaves_s = standing.leaves_in_s
        if leaves_s is None or standing.has_candidate or leaves_s > max(WARN_S, LEAST_IN_BAND * period_s):
            return
        rate = (standing.overlap - self._band.low) / leaves_s if leaves_s > 0 else math.inf
        too_fast = self._band.high - self._band.low < LEAST_IN_BAND * period_s * rate
        if not too_fast and standing.overlap > self._band.middle:
            return
        self._warned_s = now_s
        speed_um_s = float(np.hypot(*standing.speed_px_s)) * self._store.field.pixel_size_um
        self._store.journal.note(
            "video_overlap_leaving", overlap=standing.overlap, leaves_in_s=leaves_s, speed_um_s=speed_um_s
        )
        self._watcher.warned(
            f"overlap {standing.overlap:.0%} falls below {self._band.low:.0%} in {max(leaves_s, 0.0):.1f} s and "
            f"no good frame is at hand: slow down from {speed_um_s:.3g} um/s"
        )

    def _record(self, chosen: Chosen) -> None:
        field: Field = self._store.field
        x_um, y_um = (chosen.x_px * field.pixel_size_um, chosen.y_px * field.pixel_size_um)
        self._col = self._col + 1 if chosen.segment == self._row else 0
        self._row = chosen.segment
        now_s = time.monotonic()
        attempt = Attempt(
            tile=self._taken,
            attempt=1,
            row=self._row,
            col=self._col,
            started_at=self._store.journal.clock.now(),
            target_x_um=x_um,
            target_y_um=y_um,
            target_z_um=None,
            exposure_s=0.0,  # the video's own
            actual_x_um=x_um,
            actual_y_um=y_um,
            camera_frame=chosen.picture.number,
            settle_s=now_s - self._tile_s,  # the stage was on its way
            total_s=now_s - self._tile_s,
            verdict="ok",
            reason="blurred" if chosen.blurred else None,
        )
        attempt = self._store.record(attempt, chosen.picture.pixels.astype(np.uint16, copy=False))
        self._taken, self._tile_s = self._taken + 1, now_s
        self._store.journal.note_clock_jump()
        speed_um_s = [value * field.pixel_size_um for value in chosen.speed_px_s]
        self._store.journal.note(
            "video_overlap",
            tile=attempt.tile,
            frame=chosen.picture.number,
            overlap=chosen.overlap,
            speed_um_s=speed_um_s,
            rejected=dict(self._chooser.rejected),
        )
        self._watcher.acquired(attempt)
