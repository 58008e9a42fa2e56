"""A service from a notebook or a script: plans in, progress, mosaics and reports out.

    from api.client import connect, plan
    scope = connect("http://127.0.0.1:8600", data="try")
    job = scope.submit(plan(x_um=(20, 50), y_um=(20, 44), exposure_ms=20))
    run = job.wait(print_progress).run

Answers are the models of `api.answers`. Whatever is refused, or goes wrong, is a `NanorasterError`. Numbers may
be numpy's.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from acquisition.plan_file import read_plan
from api import answers
from api.remote import Connection, NanorasterError, part
from api.remote_events import Event, follow
from api.remote_job import PATIENCE_S, Job, Progress, print_progress
from api.remote_mosaic import RemoteMosaic
from api.remote_run import Run
from devices.model import FileError

__all__ = [
    "Client",
    "Event",
    "Job",
    "NanorasterError",
    "Progress",
    "RemoteMosaic",
    "Run",
    "connect",
    "plan",
    "print_progress",
]

ANSWER_S = 120.0  # a move, or the search for a zero, is answered at its end

AnyPlan = Mapping[str, Any] | str | Path
"""Its keys, or a plan file: TOML, JSON, or a useq MDASequence."""


def connect(
    url: str, token: str | None = None, data: str | Path | None = None, timeout_s: float = ANSWER_S
) -> "Client":
    """Reach a service.

    Args:
        token: of `nanoraster token create`; not needed on loopback as long as there is none.
        data: the folder of the service, where this machine can read it: mosaics are zarr arrays then.

    Raises:
        NanorasterError: nobody answers there, or the token is not valid.
    """
    client = Client(Connection(url, token, timeout_s), Path(data) if data is not None else None)
    try:
        client.status()
    except NanorasterError:
        client.close()
        raise
    return client


def plan(
    x_um: tuple[float, float] | None = None,
    y_um: tuple[float, float] | None = None,
    polygon_um: Sequence[tuple[float, float]] | None = None,
    *,
    name: str | None = None,
    overlap: float | None = None,
    order: str | None = None,
    exposure_ms: float | None = None,
    model: str | None = None,
    **tables: Mapping[str, Any],
) -> dict[str, Any]:
    """Write a plan in keywords; what is not given is left to the service.

    Args:
        tables: others of a plan, as `focus={"policy": "row"}` or `force={...}`.
    """
    region = {"x_um": x_um, "y_um": y_um, "polygon_um": polygon_um}
    said: dict[str, Any] = {
        "name": name,
        "region": region,
        "tiles": {"overlap": overlap, "order": order} | dict(tables.pop("tiles", {})),
        "camera": {"exposure_ms": exposure_ms},
        "reconstruction": {"model": model},
        **tables,
    }
    given = {key: _given(value) if isinstance(value, Mapping) else value for key, value in said.items()}
    return {key: value for key, value in given.items() if value not in (None, {})}


class Client:
    """One service; a context manager that closes the connection."""

    def __init__(self, connection: Connection, data: Path | None) -> None:
        self._connection = connection
        self._data = data

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def status(self) -> answers.Status:
        """What goes on, and what is in the way."""
        return self._connection.get(answers.Status, "/status")

    def devices(self) -> list[answers.DeviceAnswer]:
        """Every device: whether it is well, and what it reads."""
        return self._connection.get(answers.Devices, "/devices").devices

    def move(self, device: str, **targets_um: float) -> dict[str, float]:
        """Go there, as `move("scanner", x=20, y=30)`, and return once settled; where it is then, in um."""
        path = f"/devices/{part(device)}/move"
        return self._connection.post(answers.Moved, path, {"targets_um": targets_um}).position_um

    def home(self, device: str) -> dict[str, float]:
        """Look for the zero of a device; where it is then, in um."""
        return self._connection.post(answers.Moved, f"/devices/{part(device)}/home").position_um

    def snap(self, exposure_ms: float = 20.0) -> NDArray[np.uint16]:
        """One frame (y, x) where the rig stands, as the camera gave it."""
        png = self._connection.ask("POST", "/snap", {"exposure_ms": exposure_ms}).content
        return np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED), dtype=np.uint16)

    def preview(self, plan: AnyPlan) -> answers.Preview:
        """Tiles, time and disk of a plan, and all `problems` that stand in its way; moves nothing."""
        return self._connection.post(answers.Preview, "/plans/preview", _keys(plan))

    def submit(self, plan: AnyPlan, start_at: datetime | None = None, window: str | None = None) -> "Job":
        """Put a plan at the end of the queue.

        Args:
            start_at: not before; with its offset from UTC.
            window: only then, each day, as `22:00-07:00 Europe/Berlin`.

        Raises:
            NanorasterError: the plan is refused; with every reason.
        """
        when = {"start_at": start_at.isoformat() if start_at else None, "window": window}
        body = {"plan": _keys(plan), **_given(when)}
        return self.job(self._connection.post(answers.JobAnswer, "/jobs", body).id)

    def job(self, number: int) -> "Job":
        """A job by its number."""
        return Job(self._connection, number, self._data)

    def queue(self) -> list[answers.JobAnswer]:
        """What is over, as it ended; what runs; what is to come, as it will run."""
        return self._connection.get(answers.Jobs, "/jobs").jobs

    def hold(self) -> None:
        """Let no further job begin."""
        self._connection.ask("POST", "/queue/hold")

    def release(self) -> None:
        """Let jobs begin again, also after a stop of everything."""
        self._connection.ask("POST", "/queue/release")

    def stop_everything(self, reason: str = "") -> None:
        """Stop now, retract the probe, and let no job begin until `release`. No lease keeps anybody from it."""
        self._connection.ask("POST", "/stop", {"reason": reason})

    def events(
        self, after: int | None = None, epoch: str | None = None, patience_s: float = PATIENCE_S
    ) -> Iterator[Event]:
        """What happens in the runs, each event once and in order, without end.

        A line that is cut is taken up again after the event heard last.

        Args:
            after: begin with what followed this number, 0 with the first run of all; None: only what comes.
            epoch: of the event with that number.
            patience_s: for a service that does not answer.

        Raises:
            NanorasterError: while one listens, also if the service has lost its events, and counts them anew.
        """
        return follow(self._connection.url, self._connection.headers, after, epoch, patience_s)

    def runs(self) -> list["Run"]:
        """Every run, the newest first."""
        return [self.run(found.id) for found in self._connection.get(answers.Runs, "/runs").runs]

    def run(self, name: str) -> "Run":
        """A run by its name."""
        return Run(self._connection, name, self._data)

    def models(self) -> list[answers.ModelAnswer]:
        """The models that a run can be restored with."""
        return self._connection.get(answers.Models, "/models").models

    @contextmanager
    def lease(self, seconds: float = 300.0) -> Iterator[None]:
        """Be the only one who moves and changes things; renewed until the block is left, and given up then.

        Raises:
            NanorasterError: somebody else is in control, or it was lost meanwhile.
        """
        over, lost = threading.Event(), list[NanorasterError]()

        def take() -> None:
            self._connection.post(answers.LeaseAnswer, "/lease", {"seconds": seconds})

        def keep() -> None:
            try:
                while not over.wait(seconds / 3):
                    take()
            except NanorasterError as error:
                lost.append(error)

        take()
        keeper = threading.Thread(target=keep, name="lease", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            over.set()
            keeper.join()
            with suppress(NanorasterError):  # it ends by itself
                self._connection.ask("DELETE", "/lease")
        if lost:
            raise lost[0]


def _keys(plan: AnyPlan) -> Mapping[str, Any]:
    if isinstance(plan, Mapping):
        return plan
    try:
        return read_plan(Path(plan))
    except FileError as error:
        raise NanorasterError("; ".join(error.reasons)) from error


def _given(keys: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in keys.items() if value is not None}
