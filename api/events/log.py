"""All events and tiles of all runs in one sequence: whoever was cut off goes on after the last number that he saw.

The journals of the runs stay what counts: this is a copy in `events.db`, in the order in which it was made.
"""

import json
import secrets
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

FILE = "events.db"
BUSY_S = 10.0
EPOCH_HEADER, AFTER_HEADER = "nanoraster-epoch", "nanoraster-after"  # of the handshake: which log, and where one begins
REMEMBERED = 1000  # messages: what all who listen hear is made and read once
WORKER_KINDS = ("worker_started", "worker_died")
Source = Literal["events", "tiles"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS happened
    (seq INTEGER PRIMARY KEY AUTOINCREMENT, run, source, number, at, kind, data, UNIQUE (run, source, number));
CREATE TABLE IF NOT EXISTS epoch (name);
"""

_MESSAGES = "SELECT seq, run, at, kind, data FROM happened WHERE seq > ? ORDER BY seq"


@dataclass(frozen=True)
class Happened:
    """An event of a run's journal, or an attempt at a tile (`kind` is `tile`); its number there, and when."""

    source: Source
    number: int
    at: str
    kind: str
    data: dict[str, Any]


class EventLog:
    """Open for its one writer, and for the readers in its process."""

    def __init__(self, folder: Path, told: Callable[[], None] = lambda: None) -> None:
        """Open it, or begin it; one that is damaged is put aside, and copied anew from the runs.

        Args:
            told: called after something was added, by the thread that did.
        """
        self._told = told
        path = folder / FILE
        self._lock = threading.Lock()
        try:
            self._db = _opened(path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            sys.stderr.write(f"nanoraster: {path}: {error}; put aside, its numbers begin anew\n")
            path.replace(path.with_suffix(".damaged"))
            self._db = _opened(path)
        self.epoch: str = self._db.execute("SELECT name FROM epoch").fetchone()[0]
        """Which log it is: random, from its beginning. A number says nothing of a log that has another one."""
        self.newest: int = self._db.execute("SELECT coalesce(max(seq), 0) FROM happened").fetchone()[0]
        """The number given last."""
        self._latest: tuple[tuple[int, str], ...] = ()  # replaced as a whole: whoever reads it waits for no disk
        self.worker: tuple[str, str] = "", ""
        """Of which run a worker was heard of last, and what: kept in memory, for those who must not wait for a disk."""

    def known(self, run: str, source: Source) -> int:
        """Up to which number of a journal it was copied."""
        query = "SELECT coalesce(max(number), 0) FROM happened WHERE run = ? AND source = ?"
        with self._lock:
            return int(self._db.execute(query, (run, source)).fetchone()[0])

    def add(self, run: str, happened: Iterable[Happened]) -> None:
        """Copy what follows in a journal, all or none; in the order given."""
        happened = list(happened)
        rows = [(run, each.source, each.number, each.at, each.kind, json.dumps(each.data)) for each in happened]
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                into = "INSERT OR IGNORE INTO happened (run, source, number, at, kind, data) VALUES (?, ?, ?, ?, ?, ?)"
                self._db.executemany(into, rows)
                added = self._db.execute(f"{_MESSAGES} LIMIT -1", (self.newest,)).fetchall()
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._latest = (*self._latest, *map(self._message, added))[-REMEMBERED:]
            self.newest = max([self.newest, *(row[0] for row in added)])
        for each in happened:
            if each.kind in WORKER_KINDS:
                self.worker = run, each.kind
        self._told()

    def remembered(self, seq: int) -> list[tuple[int, str]] | None:
        """As `messages`, of which none is left out, from memory; None: that is so long ago that it has to be read."""
        latest = self._latest
        if not latest or seq < latest[0][0] - 1:
            return None
        return [message for message in latest if message[0] > seq]

    def messages(self, seq: int, limit: int) -> list[tuple[int, str]]:
        """What came after a number, as JSON, each with its own."""
        with self._lock:
            rows = self._db.execute(f"{_MESSAGES} LIMIT ?", (seq, limit)).fetchall()
        return list(map(self._message, rows))

    def after(self, seq: int, limit: int) -> list[dict[str, Any]]:
        """What came after a number, ready for JSON."""
        return [json.loads(message) for _, message in self.messages(seq, limit)]

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _message(self, row: tuple[int, str, str, str, str]) -> tuple[int, str]:
        seq, run, at, kind, data = row
        told = {"seq": seq, "epoch": self.epoch, "run": run, "at": at, "kind": kind, "data": json.loads(data)}
        return seq, json.dumps(told)


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")  # a number that somebody has seen means the same for ever
        db.executescript(_SCHEMA)
        db.execute("INSERT INTO epoch SELECT ? WHERE NOT EXISTS (SELECT * FROM epoch)", (secrets.token_hex(8),))
    except sqlite3.Error:
        db.close()
        raise
    return db
