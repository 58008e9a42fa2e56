"""`video --rig`: follow a live video while somebody moves the stage, into a run, and make its mosaic meanwhile."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acquisition.field import Field
from acquisition.instructions import Instructions
from acquisition.journal import Attempt
from acquisition.run_folder import discard_unbegun
from acquisition.run_store import RunStore, ensure_empty
from acquisition.states import Outcome
from acquisition.troubles import Troubles
from acquisition.video_run import VideoWatcher, follow_video, plan_of
from api.errors import DevicesFailed, UsageError
from api.worker_process import WorkerProcess
from devices.protocols import VideoFrame, VideoSource
from devices.rig import RigSettings, open_device
from reconstruction.restore import check
from reconstruction.video import Options
from reconstruction.video_choice import Standing


@dataclass(frozen=True)
class LiveWatcher:
    """Who is told how things are; called from several threads."""

    stands: Callable[[Standing], None] = lambda standing: None
    acquired: Callable[[Attempt], None] = lambda attempt: None
    warned: Callable[[str], None] = lambda warning: None
    placed: Callable[[dict[str, Any]], None] = lambda said: None


def record_video(
    settings: RigSettings, out: Path, options: Options, model: str, told: Instructions, watcher: LiveWatcher
) -> tuple[Outcome, dict[str, Any]]:
    """Follow the rig's video into the new run directory `out` until told to stop; how it ended, the summary.

    Only the video is opened, and nothing is moved: the stage is whoever's it is.

    Raises:
        UsageError, RunError, InputError: bad input; nothing was written.
        DeviceError, OSError: the video or the disk failed; what was taken is in the run, and in its mosaic.
        WorkerFailed: the run is whole, the mosaic is not.
    """
    video = settings.devices.video
    if video is None:
        raise UsageError("--rig: the rig file has no [devices.video]")
    if options.pixel_size_um is None:
        raise UsageError("--pixel-nm is needed with --rig: a rig file tells the pixel of its camera, not of its video")
    if options.crop is not None:
        video = video.model_copy(update={"crop_px": options.crop})
    check(model)
    discard_unbegun(out)
    ensure_empty(out)
    plan = plan_of(out.absolute().name, options.band, model)
    with closing(Troubles()) as troubles, closing(open_device("video", video)) as source:
        with told.cutting(source.stop):
            first = source.read_frame()
        rows, columns = first.pixels.shape
        seen = Field((rows, columns), options.pixel_size_um)
        with (
            closing(RunStore.create(out, plan, seen, settings.model_dump(mode="json"))) as store,
            troubles.noted_by(store.journal.note),
        ):
            return _followed(store, source, first, told, watcher)


def _followed(
    store: RunStore, source: VideoSource, first: VideoFrame, told: Instructions, watcher: LiveWatcher
) -> tuple[Outcome, dict[str, Any]]:
    """Take tiles; from the first one on, for there is no mosaic of none, the worker makes the mosaic."""
    with ExitStack() as workers:
        worker: WorkerProcess | None = None

        def acquired(attempt: Attempt) -> None:
            nonlocal worker
            if worker is None:
                worker = workers.enter_context(WorkerProcess(store.path, [], store.journal, watcher.placed))
            watcher.acquired(attempt)

        try:
            outcome = follow_video(store, source, first, told, VideoWatcher(watcher.stands, acquired, watcher.warned))
        finally:
            told.stop()  # a signal from here on is for the waiting
            store.release()  # the worker now sees that no frame will follow, and finishes
            if worker is not None:
                worker.no_frame_will_follow()
        if worker is None:
            raise DevicesFailed(f"{source.name}: none of its frames can be used")
        return outcome, worker.summary()
