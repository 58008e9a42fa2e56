"""A service whose scans are played: each tile is taken when a test says so, and what was told is obeyed."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from acquisition.instructions import Cut, Instructions
from acquisition.journal import Attempt, utc_now
from acquisition.overlap import PlannedTile
from acquisition.plan import Plan
from acquisition.retakes import RetakeDesk
from acquisition.run_store import RunStore
from acquisition.states import Outcome, State
from api.job_turn import RigWork
from api.scan import Watcher, field_of
from devices.rig import RigSettings

SOON_S = 40.0  # for what takes a moment, on a machine that is busy with something else
RIG = """
name = "stand-ins"
[calibration]
pixel_size_um = 0.1
frame_shape_px = [24, 32]
[devices.scanner]
driver = "pi_gcs"
host = "127.0.0.1"
axes = { x = "1", y = "2", z = "3" }
limits_um = { x = [0, 100], y = [0, 100], z = [0, 10] }
[devices.camera]
driver = "mmcore"
cfg = "camera.cfg"
"""
REGION = {"x_um": [20.0, 27.0], "y_um": [30.0, 34.0]}  # 3 x 2 tiles


def plan(name: str = "pads", **changes: Any) -> dict[str, Any]:
    """A plan as JSON."""
    return {"name": name, "region": REGION} | changes


def eventually(condition: Callable[[], Any], what: str = "") -> Any:
    """Wait until a condition holds; what it was then."""
    deadline = time.monotonic() + SOON_S
    while not (found := condition()):
        assert time.monotonic() < deadline, what or "it never came to be"
        time.sleep(0.005)
    return found


class Clock:
    """A wall clock that tests set."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class PlayedWork:
    """Scans with the real store and no rig.

    `preflight` lets a run begin, `gate` lets tiles through, `mosaic` ends a run, `error` fails one.
    """

    def __init__(self) -> None:
        self.scanned: list[str] = []
        self.resumed: list[str] = []
        self.made_safe = 0
        self.unsafe: Exception | None = None
        self.error: Exception | None = None
        self.skipped: set[int] = set()
        self.preflight = threading.Event()
        self.preflight.set()
        self.gate = threading.Event()
        self.gate.set()
        self.mosaic = threading.Event()
        self.mosaic.set()
        self.work = RigWork(self._scan, self._resume, self._make_safe)

    def _scan(
        self,
        plan: Plan,
        settings: RigSettings,
        run: Path,
        told: Instructions,
        watcher: Watcher,
        seed: int | None = None,
        world_url: str | None = None,
    ) -> tuple[Outcome, dict[str, Any]]:
        self.scanned.append(plan.name)
        self.preflight.wait(SOON_S)
        with closing(RunStore.create(run, plan, field_of(plan, settings), {})) as store:
            return self._acquire(store, told, watcher), {}

    def _resume(
        self,
        run: Path,
        settings: RigSettings | None,
        told: Instructions,
        watcher: Watcher,
        world_url: str | None = None,
    ) -> tuple[Outcome, dict[str, Any]]:
        self.resumed.append(run.name)
        with closing(RunStore.reopen(run)) as store:
            return self._acquire(store, told, watcher), {}

    def _acquire(self, store: RunStore, told: Instructions, watcher: Watcher) -> Outcome:
        watcher.started(len(store.tiles()), len(store.tiles()) - len(store.missing()))
        desk = RetakeDesk(store)
        watcher.taking_again(desk)
        watcher.state(State.ACQUIRING)
        for number, tile in enumerate(store.missing()):
            if number:
                self._wait_at_the_gate(told)
            if told.wants_pause(row_ended=False):
                watcher.state(State.PAUSED)
                told.wait_while_paused()
                watcher.state(State.ACQUIRING)
            if self.error:
                error, self.error = self.error, None
                raise error
            if told.stopped:
                return Outcome.FAILED if told.aborted else Outcome.STOPPED
            if tile.index in self.skipped:
                continue
            watcher.acquired(self._taken(store, tile, desk))
        while not desk.close(unless_wanted=True):
            for tile in desk.left():
                watcher.acquired(self._taken(store, tile, desk))
        store.journal.add_event("run_completed", reason="")
        watcher.state(State.FINISHING)
        self.mosaic.wait(SOON_S)
        return Outcome.COMPLETED

    def _taken(self, store: RunStore, tile: PlannedTile, desk: RetakeDesk) -> Attempt:
        wish = desk.wanted(tile.index)
        number = store.attempts()[tile.index] + 1
        place = tile.index, number, tile.row, tile.col, utc_now(), tile.x_um, tile.y_um, None
        exposure_s = 0.02 * (wish.exposure_factor if wish else 1)
        attempt = Attempt(*place, exposure_s, verdict="ok", retake=wish.number if wish else None)
        if wish:
            attempt = replace(attempt, cause=wish.cause, reason=wish.reason)
        frame = np.full(store.field.shape_px, 100 * (number - 1) + tile.index, np.uint16)
        desk.done(attempt)
        return store.record(attempt, frame)

    def _wait_at_the_gate(self, told: Instructions) -> None:
        while not self.gate.wait(0.01):
            try:
                told.wait(0.0)
            except Cut:
                told.notice()
            if told.stopped or told.waiting:
                return

    def _make_safe(self, settings: RigSettings) -> None:
        if self.unsafe:
            raise self.unsafe
        self.made_safe += 1


def frames_of(run: Path) -> list[int]:
    """The tiles of a run in the order in which they were stored."""
    with closing(RunStore(run)) as store:
        return [attempt.tile for _, attempt in store.journal.attempts()]


def rig_file(folder: Path) -> Path:
    path = folder / "rig.toml"
    path.write_text(RIG)
    return path


def as_json(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


@contextmanager
def listening(config: uvicorn.Config) -> Iterator[tuple[str, int]]:
    """An app on a port of this process, as `serve` has it."""
    with closing(socket.create_server(("127.0.0.1", 0))) as door:
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
        thread.start()
        try:
            eventually(lambda: server.started)
            yield door.getsockname()
        finally:
            server.should_exit = True
            thread.join()
