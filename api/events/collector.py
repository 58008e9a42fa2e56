"""Copies what the journals of the runs have to tell into the one sequence, as soon as it is there."""

import sys
import threading
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from acquisition.journal import Journal
from acquisition.run_folder import JOURNAL, RUN
from api.events.log import EventLog, Happened
from api.running_job import RunningJob

LOOK_S = 0.2  # at the run under way
LOOK_AROUND_S = 5.0  # at all others: somebody may go on with one from the command line


class Collector:
    """A thread of its own, from entering to leaving."""

    def __init__(
        self,
        log: EventLog,
        runs: Path,
        running: Callable[[], RunningJob | None],
        unended: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """Follow the runs in a folder; `running` tells which job goes on, `unended` which runs have not ended."""
        self._log = log
        self._runs = runs
        self._running = running
        self._unended = unended
        self._seen: dict[str, tuple[int, ...]] = {}
        self._trouble = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._collect, name="event collector", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def look(self) -> None:
        """Copy what is new in any run that has changed."""
        for run in sorted(path.parent.name for path in self._runs.glob(f"*/{RUN}")):
            self._follow(run)

    def _collect(self) -> None:
        rounds = 0
        while not self._over.is_set():
            try:
                if rounds % round(LOOK_AROUND_S / LOOK_S) == 0:
                    self.look()
                    self._log.forget(self._unended)
                elif (running := self._running()) is not None and self._is_made(running.job.run):
                    self._follow(str(running.job.run))
                self._trouble = ""
            except Exception as error:  # a full disk, a damaged run: the service outlives them all
                self._tell(str(error) or type(error).__name__)
            rounds += 1
            self._over.wait(LOOK_S)

    def _is_made(self, run: str | None) -> bool:
        return run is not None and (self._runs / run / RUN).exists()  # written when all else of a run is there

    def _follow(self, run: str) -> None:
        changed = _state_of(self._runs / run / JOURNAL)
        if changed == self._seen.get(run):
            return
        try:
            self._copy(run)
        except OSError as error:  # one damaged run does not keep the others from being told
            self._tell(str(error))
        self._seen[run] = changed

    def _copy(self, run: str) -> None:
        with closing(Journal(self._runs / run / JOURNAL)) as journal:
            events = journal.events(self._log.known(run, "events"))
            attempts = journal.attempts(self._log.known(run, "tiles"))
        happened = [Happened("events", event.seq, event.at, event.kind, event.data) for event in events]
        happened += [Happened("tiles", number, each.started_at, "tile", asdict(each)) for number, each in attempts]
        if happened:
            self._log.add(run, sorted(happened, key=lambda each: each.at))

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            sys.stderr.write(f"nanoraster: events: {trouble}\n")
        self._trouble = trouble


def _state_of(journal: Path) -> tuple[int, ...]:
    """What changes whenever something is committed: the write-ahead log grows, or begins anew."""
    found: list[int] = []
    for path in (journal, journal.with_name(f"{journal.name}-wal")):
        if path.exists():
            there = path.stat()
            found += [there.st_ino, there.st_size, there.st_mtime_ns]
    return tuple(found)
