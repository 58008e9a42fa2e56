"""One scan in the foreground: check everything, open the rig, start the worker, run the engine."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from acquisition import engine as engine_module
from acquisition.failures import COMES_BACK, cause_of
from acquisition.field import Field
from acquisition.heartbeat import Heartbeat
from acquisition.instructions import Instructions
from acquisition.interlocks import InterlockWatch, with_disk_floor
from acquisition.journal import Attempt
from acquisition.layout import camera_area
from acquisition.plan import Plan
from acquisition.readiness import InterlocksStand, check_rest, interlocks_now
from acquisition.retakes import RetakeDesk, left_to_take
from acquisition.run_folder import JOURNAL, RunError, discard_unbegun
from acquisition.run_store import RunStore, ensure_empty
from acquisition.states import Outcome, State
from acquisition.telling import Telling
from acquisition.timeline import ENDS, STARTS
from acquisition.troubles import Troubles
from api.foreseen_plan import findings
from api.guardian_process import guarded
from api.night.report import mosaic_picture, write_night_report
from api.worker_process import WorkerFailed, WorkerProcess
from devices.errors import DeviceError
from devices.model import FileError
from devices.rig import Rig, RigFileError, RigSettings, open_rig
from devices.rig_lock import holding
from devices.settings import DeflectionSettings

NOT_FOR_TILES = ("video",)
"""Roles that a scan has no use for: a video that nobody reads would be decoded all night."""
UNBEGUN = {"before": "the engine began"}
"""What a `run_failed` says beside its reason when the engine, which notes its own end, was never reached."""
TURNS = STARTS | ENDS.keys() | {"mosaic_failed"}
FORCE_SCALE = ("stiffness_n_per_m", "sensitivity_nm_per_v", "offset_v")
"""What makes nanonewton of volts; set-point and limit of a run were promised in its own."""


@dataclass(frozen=True)
class Watcher:
    """Who is told how far things are; called from several threads."""

    started: Callable[[int, int], None] = lambda tiles, taken: None
    acquired: Callable[[Attempt], None] = lambda attempt: None
    state: Callable[[State], None] = lambda state: None
    placed: Callable[[dict[str, Any]], None] = lambda said: None
    warned: Callable[[str], None] = lambda warning: None
    guarded: Callable[[Heartbeat], None] = lambda heart: None
    taking_again: Callable[[RetakeDesk], None] = lambda desk: None


def opened_for(settings: RigSettings) -> tuple[str, ...]:
    """The devices that a scan opens."""
    return tuple(role for role in settings.devices.by_role() if role not in NOT_FOR_TILES)


def field_of(plan: Plan, settings: RigSettings) -> Field:
    """What the camera sees in a run, as the rig was calibrated and the plan cuts its area."""
    _, field = camera_area(plan, Field.calibrated(settings.calibration))
    return field


def limits_of(settings: RigSettings) -> Mapping[str, tuple[float, float]]:
    """The scanner's limits as far as the rig file gives them."""
    limits_um: Mapping[str, tuple[float, float]] = getattr(settings.devices.scanner, "limits_um", {})
    return limits_um


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
        PlanError, RunError, InputError: bad input; nothing was moved or written. InterlocksStand: not now.
        DeviceError, OSError: the acquisition failed; what was taken is in the run, and in its mosaic.
        WorkerFailed: the acquisition is whole, the mosaic is not.
    """
    discard_unbegun(out)
    ensure_empty(out)
    findings(plan, settings, out).refuse()
    with closing(Troubles()) as troubles, holding(settings), open_rig(settings, leave_out=NOT_FOR_TILES) as rig:
        if stand := interlocks_now(settings, out, rig)[0]:
            raise InterlocksStand(stand)  # before a device is tried: a job that waits exposes nothing
        ready = findings(plan, settings, out, rig)
        ready.refuse()
        field = field_of(plan, settings)
        with (
            closing(RunStore.create(out, plan, field, settings.model_dump(mode="json"), seed)) as store,
            troubles.noted_by(store.journal.note),
            _telling(store, settings),
        ):
            _warn(ready.warnings, store, watcher)
            return _acquire(store, rig, told, watcher, world_url)


def resume(
    path: Path,
    settings: RigSettings | None,
    told: Instructions,
    watcher: Watcher,
    world_url: str | None = None,
    mend: bool = False,
    waits_for_rig: bool = False,
) -> tuple[Outcome, dict[str, Any]]:
    """Go on with an interrupted run, with the order, settings and calibration that it began with.

    Args:
        settings: of a rig whose devices answer elsewhere now; None: the run's own.
        mend: take frames again that the journal names and the disk has lost.
        waits_for_rig: a rig that is away, and may come back, stands in the way as an interlock does.

    Raises:
        RunError, RigFileError: no run, one that another process acquires, or another rig; nothing was moved.
        PlanError: what is left cannot be taken on this rig; nothing was moved. InterlocksStand: not now.
        DeviceError, OSError, WorkerFailed: as `scan`.
    """
    with closing(RunStore.reopen(path, mend=mend)) as store:
        store.journal.note("resume_begun")
        own = RigSettings.model_validate(store.rig)
        left = left_to_take(store)
        if not left:
            with _telling(store, own):
                _note_completed(store)
                return _make_mosaic(store, told, watcher, world_url)
        rig_now, differences = same_rig(own, settings)
        warnings = [f"goes on as it began, though the rig file now has {'; '.join(differences)}"] if differences else []
        with (
            _telling(store, rig_now),
            closing(Troubles()) as troubles,
            troubles.noted_by(store.journal.note),
            holding(rig_now),
            _opened(rig_now, store, waits_for_rig) as rig,
        ):
            ready = check_rest(store.plan, store.field, left, rig_now, rig, path)
            ready.refuse()
            _warn([*warnings, *ready.warnings], store, watcher)
            return _acquire(store, rig, told, watcher, world_url)


@contextmanager
def _opened(settings: RigSettings, store: RunStore, waits: bool) -> Iterator[Rig]:
    """Open a rig for the rest of a run.

    Raises:
        InterlocksStand: it `waits`, and the rig does not answer at this moment.
        DeviceError: it does not answer, or refuses.
    """
    with ExitStack() as opening:
        try:
            rig = opening.enter_context(open_rig(settings, leave_out=NOT_FOR_TILES))
        except DeviceError as error:
            if not waits or cause_of(error) not in COMES_BACK:
                raise
            if store.plan.on_failure.come_back_s == 0 and _needed_somebody(store) is None:
                store.journal.note("needs_somebody", reason=str(error))
            raise InterlocksStand([f"the rig is away, and is asked again: {error}"]) from error
        yield rig


@contextmanager
def _telling(store: RunStore, settings: RigSettings) -> Iterator[None]:
    """Tell people what happens to a run; also that it failed before the engine began, which nobody else notes.

    Not of bad input or an interlock: nothing was moved, and the run is as it was.
    """
    with Telling(settings.tell, store.path, partial(mosaic_picture, store.path)):
        before = _last_end(store)
        try:
            yield
        except (FileError, InterlocksStand):
            raise
        except WorkerFailed as error:
            store.journal.note("mosaic_failed", reason=str(error))
            with suppress(OSError):  # it may be a full disk that the mosaic failed of
                write_night_report(store.path)
            raise
        except Exception as error:
            if _last_end(store) == before:
                store.journal.note("run_failed", **UNBEGUN, reason=str(error))
            raise


def _note_completed(store: RunStore) -> None:
    """Say that a run is complete whose engine was gone before it could, or of which the mosaic failed."""
    if _turns(store)[-1:] != ["run_completed"]:
        store.journal.note("run_resumed", missing=0)
        store.journal.note("run_completed", reason="")


def _turns(store: RunStore) -> list[str]:
    """How the run began, ended and went on, and whether its mosaic failed then."""
    return [event.kind for event in store.journal.events() if event.kind in TURNS]


def _last_end(store: RunStore) -> int:
    """The number of the last event that ended a session; 0 if none has."""
    return max((event.seq for event in store.journal.events() if event.kind in ENDS), default=0)


def _warn(warnings: Sequence[str], store: RunStore, watcher: Watcher) -> None:
    for warning in warnings:
        watcher.warned(warning)
        store.journal.add_event("preflight_warning", reason=warning)


def is_finished(path: Path) -> bool:
    """Whether there is nothing left to do for a run: it is complete, and so are the mosaic and the report of it.

    Raises:
        RunError: not a run.
    """
    with closing(RunStore(path)) as store:
        return _turns(store)[-1:] == ["run_completed"] and _is_reported_complete(path)


def lacks_its_mosaic(path: Path) -> bool:
    """Whether nothing is left to take for a run and its mosaic and report are not made, so that resuming moves nothing.

    Of one that completed without tiles it gave up, or is no run, or damaged, that is not said.
    """
    try:
        with closing(RunStore(path)) as store:
            return not left_to_take(store) and not _is_reported_complete(path)
    except (RunError, OSError):
        return False


def _is_reported_complete(path: Path) -> bool:
    """A damaged summary is none; one of an earlier session tells how that one ended."""
    try:
        summary = json.loads((path / "report" / "summary.json").read_text())
    except (FileNotFoundError, ValueError, RecursionError):
        return False
    return isinstance(summary, dict) and summary.get("outcome") == Outcome.COMPLETED


def needs_somebody(path: Path) -> str | None:
    """Why a run may go on only once a person says so; None if it may by itself.

    A person or a failure had paused it, or was about to, or a manual interlock held it. The others hold anew.

    Raises:
        RunError: not a run.
    """
    with closing(RunStore(path)) as store:
        return _needed_somebody(store)


def _needed_somebody(store: RunStore) -> str | None:
    """As the journal said last."""
    said = store.journal.events(kind="needs_somebody")
    reason = said[-1].data["reason"] if said else None
    return None if reason is None else str(reason)


def same_rig(own: RigSettings, given: RigSettings | None) -> tuple[RigSettings, list[str]]:
    """The rig as it is reached now, calibrated as it was when the run began; and where its force was scaled otherwise.

    When not to believe the detector, as its range and how old a reading may be, is said by what answers now.

    Raises:
        RigFileError: another rig.
    """
    if given is None:
        return own, []
    if given.name != own.name:
        raise RigFileError([f"name = {given.name!r}: the run was begun on the rig {own.name!r}"])
    settings = given.model_copy(update={"calibration": own.calibration})
    was, now = own.devices.force, given.devices.force
    if not (isinstance(was, DeflectionSettings) and isinstance(now, DeflectionSettings)):
        return settings, []
    scale = {key: value for key in FORCE_SCALE if (value := getattr(was, key)) != getattr(now, key)}
    force = now.model_copy(update=scale)
    differences = [f"devices.force.{key} = {getattr(now, key):g} (run: {value:g})" for key, value in scale.items()]
    return settings.model_copy(update={"devices": given.devices.model_copy(update={"force": force})}), differences


def _acquire(
    store: RunStore, rig: Rig, told: Instructions, watcher: Watcher, world_url: str | None
) -> tuple[Outcome, dict[str, Any]]:
    """Run the engine, in a thread of its own so that signals are heard at once, and beside it all that watches it."""
    planned = len(store.tiles())
    watcher.started(planned, planned - len(store.to_take()))
    options = ["--world", world_url] if world_url else []
    with (
        told.noted_by(store.journal.note, _needed_somebody(store)),
        WorkerProcess(store.path, options, store.journal, watcher.placed) as worker,
    ):
        try:
            outcome = _guarded_engine(store, rig, told, watcher)
        finally:
            told.stop()  # a signal from here on is for the waiting
            store.release()  # the worker now sees that no frame will follow, and finishes
            worker.no_frame_will_follow()
        return outcome, worker.summary()


def _guarded_engine(store: RunStore, rig: Rig, told: Instructions, watcher: Watcher) -> Outcome:
    note, disk = store.journal.note, partial(shutil.disk_usage, store.path)
    rules = with_disk_floor(rig.settings.interlocks, disk().total)
    listener = engine_module.Watcher(watcher.acquired, watcher.state)
    desk = RetakeDesk(store)
    with (
        guarded(rig.settings, store.path / JOURNAL, note) as heart,
        InterlockWatch(rules, rig, told, note, lambda: disk().free),
        ThreadPoolExecutor(1, "engine") as engine,
    ):
        watcher.guarded(heart)
        watcher.taking_again(desk)
        return engine.submit(engine_module.run, store, rig, told, listener, heart, desk).result()


def _make_mosaic(
    store: RunStore, told: Instructions, watcher: Watcher, world_url: str | None
) -> tuple[Outcome, dict[str, Any]]:
    """Let the worker finish what it was kept from; all tiles were taken."""
    planned = len(store.tiles())
    watcher.started(planned, planned - len(store.to_take()))
    watcher.state(State.FINISHING)
    store.release()
    told.stop()
    options = ["--world", world_url] if world_url else []
    with WorkerProcess(store.path, options, store.journal, watcher.placed) as worker:
        worker.no_frame_will_follow()
        return Outcome.COMPLETED, worker.summary()
