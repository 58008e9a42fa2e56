"""The journal of a run: every attempt at a tile, every event, every measured edge, in one SQLite file.

Readers and writers in several processes share it (write-ahead log); what was committed survives the end of any
of them, and with `synchronous=FULL` also that of the machine.
"""

import json
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import Field, astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from acquisition.events import KINDS
from acquisition.run_clock import RunClock, iso_utc
from reconstruction.local_shifts import NOWHERE, LocalShifts
from reconstruction.registration import Edge

T = TypeVar("T")

BUSY_S = 10.0  # the other process commits in milliseconds; beyond this something is wrong
NOTE_S = 0.1  # what a note may cost whoever makes it, such as a loop that holds the force
MOST_NOTES = 10_000  # that wait for a journal that cannot be written; some 3 MB


TOLD = "told"
"""Cause of what was skipped because somebody wanted it so."""


@dataclass(frozen=True)
class Attempt:
    """One try at one tile, as it ended. Positions are the scanner's, in micrometre."""

    tile: int
    attempt: int
    row: int
    col: int
    started_at: str
    target_x_um: float
    target_y_um: float
    target_z_um: float | None  # None: the scanner has no z
    exposure_s: float
    actual_x_um: float | None = None
    actual_y_um: float | None = None
    actual_z_um: float | None = None
    force_nn: float | None = None
    focus_score: float | None = None
    mean: float | None = None
    sd: float | None = None
    camera_frame: int | None = None  # the camera's own count
    settle_s: float | None = None  # moving, settling and dwelling; of a sweep a tile's share, less its exposure
    attending_s: float = 0.0  # focus, drift and probe before it
    drift_x_um: float = 0.0  # of the specimen, as far as it was known: part of the target, none of the place on it
    drift_y_um: float = 0.0
    from_above: str | None = None  # axes that came to the place downwards, such as "xy"; None: not told
    total_s: float = 0.0  # since the attempt before it ended
    verdict: str = "failed"  # ok, retry, skipped, failed
    cause: str | None = None  # of a verdict that is not ok: a kind of failure as plans name it, `quality`, or `TOLD`
    reason: str | None = None
    frame: int | None = None  # its place in raw.zarr
    retake: int | None = None  # number of the wish that it answers, whose `cause` and `reason` it has unless it failed


def both_reasons(*reasons: str | None) -> str | None:
    """One reason of several; None of none."""
    return "; ".join(filter(None, reasons)) or None


@dataclass(frozen=True)
class Event:
    """Something that happened: its number, time (ISO 8601 UTC), kind and particulars."""

    seq: int
    at: str
    kind: str
    data: dict[str, object]


class JournalError(OSError):
    """The journal cannot be read or written: damaged, on a full or read-only disk, or held too long by others."""


_ATTEMPT = [field.name for field in fields(Attempt)]
_EDGE = [field.name for field in fields(Edge)]
_INTO_TILES = f"INSERT INTO tiles ({', '.join(_ATTEMPT)})"
_INTO_EVENTS = "INSERT INTO events (at, kind, data)"
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS tiles ({", ".join(_ATTEMPT)}, PRIMARY KEY (tile, attempt));
CREATE TABLE IF NOT EXISTS edges ({", ".join(_EDGE)}, PRIMARY KEY (a, b));
CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY AUTOINCREMENT, at, kind, data);
"""


class Journal:
    """An open journal; may be used by several threads of a process. Every call may raise `JournalError`."""

    def __init__(self, path: Path, mode: Literal["create", "open"] = "open") -> None:
        self._path = path
        self.clock = RunClock()
        self._lock = threading.Lock()
        self._notes: deque[tuple[str, str, str]] = deque(maxlen=MOST_NOTES)
        with self._telling():
            self._db = sqlite3.connect(
                _address(path, mode), timeout=BUSY_S, check_same_thread=False, isolation_level=None, uri=True
            )
            if mode == "create":
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.executescript(_SCHEMA)
            self._db.execute("PRAGMA synchronous=FULL")
            self._columns = self._there("tiles", _ATTEMPT)
            self._edge_columns = self._there("edges", _EDGE)
            self._db.execute("SELECT count(*) FROM tiles")

    def add_new_columns(self) -> None:
        """Bring the journal of an older version up to date; what was never measured reads as its default."""
        with self._writing(BUSY_S):
            for table, kind, there in (("tiles", Attempt, self._columns), ("edges", Edge, self._edge_columns)):
                for field in fields(kind):
                    if field.name not in there:
                        self._db.execute(f"ALTER TABLE {table} ADD COLUMN {field.name} DEFAULT {_default(field)}")
            self._columns, self._edge_columns = _ATTEMPT, _EDGE

    def record(self, *attempts: Attempt) -> None:
        """Commit attempts in their order, all or none."""
        self._insert(_INTO_TILES, *(astuple(attempt) for attempt in attempts))

    def attempts(self, after: int = 0) -> list[tuple[int, Attempt]]:
        """Attempts in the order in which they ended, each with its row number; only those after row number `after`."""
        wanted = ", ".join(self._columns)
        with self._rows(f"SELECT rowid, {wanted} FROM tiles WHERE rowid > ? ORDER BY rowid", after) as rows:
            return [(number, Attempt(**dict(zip(self._columns, values, strict=True)))) for number, *values in rows]

    def has_frame(self, tile: int) -> bool:
        """Whether any attempt at a tile gave a frame that was stored; looked up, however many attempts there are."""
        with self._rows("SELECT 1 FROM tiles WHERE tile = ? AND frame IS NOT NULL LIMIT 1", tile) as rows:
            return rows.fetchone() is not None

    def give_up(self, frames: Collection[int], reason: str) -> None:
        """Take back that these frames were stored: their attempts count as failed, for this reason."""
        with self._writing(BUSY_S):
            self._db.executemany(
                "UPDATE tiles SET frame = NULL, verdict = 'failed', cause = 'disk', reason = ? WHERE frame = ?",
                [(reason, frame) for frame in frames],
            )

    def add_event(self, kind: str, **data: object) -> None:
        """Commit one event.

        Raises:
            ValueError: nobody would know whom to tell of this kind; `events.KINDS` lists those that exist.
        """
        self._insert(_INTO_EVENTS, self._event(kind, data))

    def note(self, kind: str, **data: object) -> None:
        """Commit one event soon: at once, or, where the journal is busy or cannot be written, with what comes next.

        Raises:
            ValueError: as `add_event`; never `JournalError`.
        """
        self._notes.append(self._event(kind, data))
        with suppress(JournalError):
            self._commit_notes(NOTE_S)

    def note_clock_jump(self) -> None:
        """Note by how much the machine's clock was set, if it was since this was last called."""
        if (by_s := self.clock.jump_s()) is not None:
            reason = f"the machine's clock jumped by {by_s:+.1f} s during the run, whose times go on as they began"
            self.note("clock_jumped", by_s=round(by_s, 3), reason=reason)

    def events(self, after: int = 0, kind: str | None = None) -> list[Event]:
        """Events in their order; only those after number `after`, and of one kind if it is given."""
        chosen = "SELECT seq, at, kind, data FROM events WHERE seq > ? AND kind = coalesce(?, kind) ORDER BY seq"
        with self._rows(chosen, after, kind) as rows:
            return [Event(seq, at, kind, self._parsed("events", seq, data, dict)) for seq, at, kind, data in rows]

    def add_edge(self, edge: Edge) -> None:
        """Commit one edge; measured again, it replaces what was there."""
        values = {name: getattr(edge, name) for name in self._edge_columns}
        values |= {"local": json.dumps(edge.local.table().tolist())} if "local" in values else {}
        columns = ", ".join(self._edge_columns)
        self._insert(f"INSERT OR REPLACE INTO edges ({columns})", tuple(values[name] for name in self._edge_columns))

    def edges(self, since: int = 0, local: bool = False) -> list[Edge]:
        """Every edge measured so far; only those whose later tile has at least the index `since`.

        Args:
            local: with the shifts of the parts of each overlap, which take a tenth of a second to read for 200 edges.
        """
        columns = [name for name in self._edge_columns if local or name != "local"]
        with self._rows(f"SELECT {', '.join(columns)} FROM edges WHERE b >= ? ORDER BY a, b", since) as rows:
            return [self._edge(dict(zip(columns, values, strict=True))) for values in rows]

    def _edge(self, values: dict[str, Any]) -> Edge:
        row = f"(a, b) = ({values['a']}, {values['b']})"
        local = LocalShifts(self._parsed("edges", row, values.pop("local", "[]"), list))
        return Edge(**values | {"accepted": bool(values["accepted"]), "local": local})

    def _event(self, kind: str, data: dict[str, object]) -> tuple[str, str, str]:
        if kind not in KINDS:
            raise ValueError(f"event {kind!r} is not listed in acquisition/events.py")
        return self.clock.now(), kind, json.dumps(data)

    def _parsed(self, table: str, row: object, text: str, kind: type[T]) -> T:
        """Read JSON that stands in a row; `JournalError` if it is damaged, or another kind of thing."""
        try:
            found = json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise JournalError(f"journal {self._path}: table {table}, row {row}: damaged: {error}") from error
        if not isinstance(found, kind):
            raise JournalError(f"journal {self._path}: table {table}, row {row}: damaged: {found!r}")
        return found

    def _there(self, table: str, wanted: list[str]) -> list[str]:
        """Columns that this journal has, of those of this version."""
        there = {name for _, name, *_ in self._db.execute(f"PRAGMA table_info({table})")}
        return [name for name in wanted if name in there]

    def close(self) -> None:
        """May be called twice."""
        with suppress(JournalError):
            self._commit_notes(NOTE_S)
        self._db.close()

    def _insert(self, into: str, *rows: tuple[object, ...]) -> None:
        if self._notes:
            self._commit_notes(BUSY_S)
        with self._writing(BUSY_S):
            # one statement, so that the lock is held in one call: between two, this process may wait for its turn
            values = ", ".join(f"({', '.join('?' * len(row))})" for row in rows)
            self._db.execute(f"{into} VALUES {values}", [value for row in rows for value in row])

    def _commit_notes(self, patience_s: float) -> None:
        with self._writing(patience_s):
            while self._notes:
                self._db.execute(f"{_INTO_EVENTS} VALUES (?, ?, ?)", self._notes[0])
                self._notes.popleft()

    @contextmanager
    def _writing(self, patience_s: float) -> Iterator[None]:
        """Wait so long for the other threads of this process, and as long again for other processes."""
        if not self._lock.acquire(timeout=patience_s):
            raise JournalError(f"journal {self._path}: busy for {patience_s:g} s")
        try:
            with self._telling():
                self._db.execute(f"PRAGMA busy_timeout={round(1e3 * patience_s)}")
                yield
        finally:
            self._lock.release()

    @contextmanager
    def _rows(self, query: str, *values: object) -> Iterator[sqlite3.Cursor]:
        with self._lock, self._telling():
            yield self._db.execute(query, values)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise JournalError(f"journal {self._path}: {error}") from error


def _default(field: Field[Any]) -> str:
    """What an old row holds in a new column, in SQL."""
    if field.default is NOWHERE:
        return repr("[]")
    return "NULL" if field.default is None else repr(field.default)


def _address(path: Path, mode: str) -> str:
    """Where SQLite finds the journal; on a disk that cannot be written it needs to be told that nobody else writes."""
    if mode == "create":
        how = "mode=rwc"
    elif os.access(path.parent, os.W_OK) or path.with_name(f"{path.name}-wal").exists():
        how = "mode=rw"
    else:
        how = "mode=ro&immutable=1"
    return f"{path.absolute().as_uri()}?{how}"


def utc_now() -> str:
    """The time as the journal writes it: ISO 8601, UTC, microseconds."""
    return iso_utc(datetime.now(UTC))
