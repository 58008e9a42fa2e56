"""How a plan gets into the queue: only after everything was checked that can be checked without the rig."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from acquisition.job import Job
from acquisition.plan import Plan, PlanError
from acquisition.time_window import TimeWindow
from api.data_folder import DataFolder
from api.foreseen_plan import foreseen
from devices.rig import RigSettings

if TYPE_CHECKING:  # the command line is there before its database machinery
    from acquisition.queue import Queue


def submit(
    queue: "Queue",
    folder: DataFolder,
    plan: Plan,
    settings: RigSettings | None,
    rig: Path | None = None,
    start_at: datetime | None = None,
    window: TimeWindow | None = None,
    files: bool = True,
) -> Job:
    """Put a plan at the end of the queue.

    Args:
        folder: where it will be acquired into.
        settings: of the rig on which it is to run; None: not known yet, so the plan is held against it when it begins.
        files: whether the plan may name a model by its file; what comes over the network may not.
        rig: the file of that rig; None: whatever rig the service has then.

    Raises:
        PlanError: with every reason against it.
    """
    if settings is not None and (found := foreseen(plan, settings, folder.runs, files).problems):
        raise PlanError(found)
    return queue.add(plan.name, plan.model_dump(mode="json"), str(rig.absolute()) if rig else None, start_at, window)
