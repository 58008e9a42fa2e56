"""All events and tiles of all runs in one sequence: whoever was cut off goes on after the last number that he saw.

The journals of the runs stay what counts: this is a copy in `events.db`, in the order in which it was made. What is
very old is forgotten: the copy of a run that has ended long ago helps nobody to go on.
"""

import json
import secrets
import sqlite3
import sys
import threading
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

FILE = "events.db"
BUSY_S = 10.0
EPOCH_HEADER, AFTER_HEADER = "nanoraster-epoch", "nanoraster-after"  # of the handshake: which log, and where one begins
REMEMBERED = 1000  # messages: what all who listen hear is made and read once
KEPT = 200_000  # at least: of a hundred nights of 2000 tiles
AT_ONCE = 10_000  # which takes a tenth of a second
WORKER_KINDS = ("worker_started", "worker_died")
Source = Literal["events", "tiles"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS happened
    (seq INTEGER PRIMARY KEY AUTOINCREMENT, run, source, number, at, kind, data, UNIQUE (run, source, number));
CREATE TABLE IF NOT EXISTS epoch (name);
CREATE TABLE IF NOT EXISTS copied (run, source, number, PRIMARY KEY (run, source));
CREATE TABLE IF NOT EXISTS forgotten (seq);
"""

# of a log that was made before it could forget
_FILL = """
INSERT INTO copied SELECT run, source, max(number) FROM happened WHERE NOT EXISTS (SELECT * FROM copied) GROUP BY 1, 2;
INSERT INTO forgotten SELECT 0 WHERE NOT EXISTS (SELECT * FROM forgotten);
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
        self.forgotten: int = self._db.execute("SELECT seq FROM forgotten").fetchone()[0]
        """What came up to this number is not kept any more."""
        self._latest: tuple[tuple[int, str], ...] = ()  # replaced as a whole: whoever reads it waits for no disk
        self.worker: tuple[str, str] = "", ""
        """Of which run a worker was heard of last, and what: kept in memory, for those who must not wait for a disk."""

    def known(self, run: str, source: Source) -> int:
        """Up to which number of a journal it was copied."""
        query = "SELECT coalesce(max(number), 0) FROM copied WHERE run = ? AND source = ?"
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
                copied = "INSERT OR REPLACE INTO copied SELECT ?1, ?2, max(?3, coalesce(max(number), 0)) FROM copied "
                self._db.executemany(f"{copied} WHERE run = ?1 AND source = ?2", [row[:3] for row in rows])
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

    def forget(self, unended: Callable[[], Collection[str]]) -> None:
        """Forget what is very old, but nothing from the first event on of a run that has not ended; a part at a time.

        Args:
            unended: the runs that have not; asked only if there is something to forget.
        """
        if self.newest - self.forgotten < KEPT + AT_ONCE:
            return
        runs = list(unended())
        first = f"SELECT coalesce(min(seq), ?) FROM happened WHERE run IN ({','.join('?' * len(runs))})"
        with self._lock:
            going_on = self._db.execute(first, (self.newest, *runs)).fetchone()[0]
            up_to = min(self.newest - KEPT, self.forgotten + AT_ONCE, going_on - 1)
            if up_to <= self.forgotten:
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.execute("DELETE FROM happened WHERE seq <= ?", (up_to,))
                self._db.execute("UPDATE forgotten SET seq = ?", (up_to,))
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self.forgotten = up_to

    def remembered(self, seq: int) -> list[tuple[int, str]] | None:
        """As `messages`, of which none is left out, from memory; None: that is so long ago that it has to be read."""
        latest = self._latest
        if not latest or seq < latest[0][0] - 1:
            return None
        return list(latest[bisect_right(latest, seq, key=itemgetter(0)) :])

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
        db.executescript(_SCHEMA + _FILL)
        db.execute("INSERT INTO epoch SELECT ? WHERE NOT EXISTS (SELECT * FROM epoch)", (secrets.token_hex(8),))
    except sqlite3.Error:
        db.close()
        raise
    return db
