"""The journal of a run: every attempt at a tile, every event, every measured edge, in one SQLite file.

Readers and writers in several processes share it (write-ahead log); what was committed survives the end of any
of them, and with `synchronous=FULL` also that of the machine.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from reconstruction.registration import Edge

BUSY_S = 10.0  # the other process commits in milliseconds; beyond this something is wrong


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
    settle_s: float | None = None
    total_s: float = 0.0  # since the attempt before it ended
    verdict: str = "failed"  # ok, retry, skipped, failed
    reason: str | None = None
    frame: int | None = None  # its place in raw.zarr


@dataclass(frozen=True)
class Event:
    """Something that happened: its number, time (ISO 8601 UTC), kind and particulars."""

    seq: int
    at: str
    kind: str
    data: dict[str, object]


class JournalError(OSError):
    """The journal cannot be read or written: the disk is full or read-only, or another process holds it too long."""


_ATTEMPT = [field.name for field in fields(Attempt)]
_EDGE = [field.name for field in fields(Edge)]
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS tiles ({", ".join(_ATTEMPT)}, PRIMARY KEY (tile, attempt));
CREATE TABLE IF NOT EXISTS edges ({", ".join(_EDGE)}, PRIMARY KEY (a, b));
CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY AUTOINCREMENT, at, kind, data);
"""


class Journal:
    """An open journal; may be used by several threads of a process. Every call may raise `JournalError`."""

    def __init__(self, path: Path, mode: Literal["create", "open"] = "open") -> None:
        self._path = path
        self._lock = threading.Lock()
        address = f"{path.absolute().as_uri()}?mode={'rwc' if mode == 'create' else 'rw'}"
        with self._telling():
            self._db = sqlite3.connect(address, timeout=BUSY_S, check_same_thread=False, isolation_level=None, uri=True)
            if mode == "create":
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.executescript(_SCHEMA)
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("SELECT count(*) FROM tiles")

    def record(self, attempt: Attempt) -> None:
        """Commit one attempt."""
        self._insert("INSERT INTO tiles", astuple(attempt))

    def attempts(self, after: int = 0) -> list[tuple[int, Attempt]]:
        """Attempts in the order in which they ended, each with its row number; only those after row number `after`."""
        with self._rows("SELECT rowid, * FROM tiles WHERE rowid > ? ORDER BY rowid", after) as rows:
            return [(number, Attempt(*values)) for number, *values in rows]

    def add_event(self, kind: str, **data: object) -> None:
        """Commit one event."""
        self._insert("INSERT INTO events (at, kind, data)", (utc_now(), kind, json.dumps(data)))

    def events(self, after: int = 0) -> list[Event]:
        """Events in their order; only those after number `after`."""
        with self._rows("SELECT seq, at, kind, data FROM events WHERE seq > ? ORDER BY seq", after) as rows:
            return [Event(seq, at, kind, json.loads(data)) for seq, at, kind, data in rows]

    def add_edge(self, edge: Edge) -> None:
        """Commit one edge; measured again, it replaces what was there."""
        self._insert("INSERT OR REPLACE INTO edges", astuple(edge))

    def edges(self) -> list[Edge]:
        """Every edge measured so far."""
        with self._rows("SELECT * FROM edges ORDER BY a, b") as rows:
            found = [dict(zip(_EDGE, values, strict=True)) for values in rows]
        return [Edge(**values | {"accepted": bool(values["accepted"])}) for values in found]

    def close(self) -> None:
        """May be called twice."""
        self._db.close()

    def _insert(self, into: str, values: tuple[object, ...]) -> None:
        with self._lock, self._telling():
            self._db.execute(f"{into} VALUES ({', '.join('?' * len(values))})", values)

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


def utc_now() -> str:
    """The time as the journal writes it: ISO 8601, UTC, microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
