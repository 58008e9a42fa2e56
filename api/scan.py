"""One scan in the foreground: check everything, open the rig, start the worker, run the engine."""

import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acquisition import engine as engine_module
from acquisition.instructions import Instructions
from acquisition.journal import Attempt
from acquisition.plan import Plan, PlanError
from acquisition.preflight import Field, inabilities, problems, sweep_problems
from acquisition.run_store import RunStore, ensure_empty
from acquisition.states import Outcome, State
from acquisition.timeline import ENDS
from api.worker_process import WorkerProcess
from devices.errors import DeviceRejected
from devices.protocols import Camera
from devices.rig import Rig, RigFileError, RigSettings, open_rig
from reconstruction.errors import InputError
from reconstruction.restore import restorer

NOT_FOR_TILES = ("video",)
"""Roles that a scan has no use for: a video that nobody reads would be decoded all night."""


@dataclass(frozen=True)
class Watcher:
    """Who is told how far things are; called from several threads."""

    started: Callable[[int, int], None] = lambda tiles, taken: None
    acquired: Callable[[Attempt], None] = lambda attempt: None
    state: Callable[[State], None] = lambda state: None
    placed: Callable[[dict[str, Any]], None] = lambda said: None


def field_of(settings: RigSettings) -> Field:
    """The camera's field of view, as the rig was calibrated."""
    return Field(settings.calibration.frame_shape_px, settings.calibration.pixel_size_um)


def limits_of(settings: RigSettings) -> Mapping[str, tuple[float, float]]:
    """The scanner's limits as far as the rig file gives them."""
    limits_um: Mapping[str, tuple[float, float]] = getattr(settings.devices.scanner, "limits_um", {})
    return limits_um


def blocking(plan: Plan, settings: RigSettings, out: Path) -> list[str]:
    """Every reason against a plan that can be told before any device is asked."""
    try:
        restorer(plan.reconstruction.model)
        unknown = []
    except InputError as error:
        unknown = [f"reconstruction.{error}"]
    limits_um, field = limits_of(settings), field_of(settings)
    found = problems(plan, limits_um, free_bytes(out), field)
    ends_um = getattr(settings.devices.scanner, "sweep_ends_um", None)
    if not found and ends_um is not None:
        skew_s = getattr(settings.devices.camera, "skew_s", 0.0)
        found = sweep_problems(plan, limits_um, field, skew_s, ends_um)
    return unknown + found


def _refuse_exposure(plan: Plan, camera: Camera) -> None:
    try:
        camera.set_exposure_s(plan.camera.exposure_s)
    except DeviceRejected as refusal:
        raise PlanError([f"camera.exposure_ms = {plan.camera.exposure_ms:g}: {refusal}"]) from refusal


def free_bytes(folder: Path) -> int:
    """Free space where `folder` is, or will be."""
    while not folder.exists():
        folder = folder.absolute().parent
    return shutil.disk_usage(folder).free


def scan(
    plan: Plan,
    settings: RigSettings,
    out: Path,
    told: Instructions,
    watcher: Watcher,
    seed: int | None = None,
    world_url: str | None = None,
) -> tuple[Outcome, dict[str, Any]]:
    """Acquire the plan into the new run directory `out` while the worker makes the mosaic; how it ended, the summary.

    Raises:
        PlanError, RunError, InputError: bad input; nothing was moved or written.
        DeviceError, OSError: the acquisition failed; what was taken is in the run, and in its mosaic.
        WorkerFailed: the acquisition is whole, the mosaic is not.
    """
    ensure_empty(out)
    if found := blocking(plan, settings, out):
        raise PlanError(found)
    field = field_of(settings)
    with open_rig(settings, leave_out=NOT_FOR_TILES) as rig:
        found = problems(plan, rig.scanner.limits_um, free_bytes(out), field)
        found = found or inabilities(plan, field, rig.scanner, rig.camera)
        if found:
            raise PlanError(found)
        _refuse_exposure(plan, rig.camera)
        with closing(RunStore.create(out, plan, field, settings.model_dump(mode="json"), seed)) as store:
            return _acquire(store, rig, told, watcher, world_url)


def resume(
    path: Path,
    settings: RigSettings | None,
    told: Instructions,
    watcher: Watcher,
    world_url: str | None = None,
) -> tuple[Outcome, dict[str, Any]]:
    """Go on with an interrupted run, with the order, settings and calibration that it began with.

    Args:
        settings: of a rig whose devices answer elsewhere now; None: the run's own.

    Raises:
        RunError, RigFileError: no run, one that another process acquires, or another rig; nothing was moved.
        DeviceError, OSError, WorkerFailed: as `scan`.
    """
    with closing(RunStore.reopen(path)) as store:
        own = RigSettings.model_validate(store.rig)
        if not store.missing():
            return _make_mosaic(store, told, watcher, world_url)
        with open_rig(_same_rig(own, settings), leave_out=NOT_FOR_TILES) as rig:
            return _acquire(store, rig, told, watcher, world_url)


def is_finished(path: Path) -> bool:
    """Whether there is nothing left to do for a run: every tile was taken, and its report is written.

    Raises:
        RunError: not a run.
    """
    with closing(RunStore(path)) as store:
        ends = [event.kind for event in store.journal.events() if event.kind in ENDS]
        complete = bool(ends) and ends[-1] == "run_completed"
        return complete and (path / "report" / "summary.json").exists()


def _same_rig(own: RigSettings, given: RigSettings | None) -> RigSettings:
    """The rig as it is reached now, calibrated as it was when the run began."""
    if given is None:
        return own
    if given.name != own.name:
        raise RigFileError([f"name = {given.name!r}: the run was begun on the rig {own.name!r}"])
    return given.model_copy(update={"calibration": own.calibration})


def _acquire(
    store: RunStore, rig: Rig, told: Instructions, watcher: Watcher, world_url: str | None
) -> tuple[Outcome, dict[str, Any]]:
    """Run the engine, in a thread of its own so that signals are heard at once, and the worker beside it."""
    planned = len(store.tiles())
    watcher.started(planned, planned - len(store.missing()))
    options = ["--world", world_url] if world_url else []
    with WorkerProcess(store.path, options, store.journal, watcher.placed) as worker:
        try:
            with ThreadPoolExecutor(1, "engine") as engine:
                listener = engine_module.Watcher(watcher.acquired, watcher.state)
                outcome = engine.submit(engine_module.run, store, rig, told, listener).result()
        finally:
            told.stop()  # a signal from here on is for the waiting
            store.release()  # the worker now sees that no frame will follow, and finishes
        return outcome, worker.summary()


def _make_mosaic(
    store: RunStore, told: Instructions, watcher: Watcher, world_url: str | None
) -> tuple[Outcome, dict[str, Any]]:
    """Let the worker finish what it was kept from; all tiles were taken."""
    store.release()
    told.stop()
    options = ["--world", world_url] if world_url else []
    with WorkerProcess(store.path, options, store.journal, watcher.placed) as worker:
        return Outcome.COMPLETED, worker.summary()
