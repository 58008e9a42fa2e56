"""The log of commands: who asked for what, when, and what came of it; a line of JSON each, in the data folder.

A line is one write to the end of the file, which outlives the process from then on; nobody waits for the disk. A log
that cannot be written is told on stderr and keeps nobody from stopping a rig. One that is full is put aside.
"""

import json
import os
import sys
from pathlib import Path

from acquisition.journal import utc_now
from api.access.old_audits import OldAudits

FILE = "audit.jsonl"
FULL_BYTES = 8 * 2**20  # some 30,000 lines


class AuditLog:
    """Appended to by any number of threads and processes; may be moved away while it is written to."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._old = OldAudits(self._path)

    def write(self, who: str, what: str, outcome: str, **more: object) -> None:
        """Add a line."""
        line = json.dumps({"at": utc_now(), "who": who, "what": what, "outcome": outcome, **more}, default=str)
        try:
            file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(file, f"{_end_of_torn_line(file)}{line}\n".encode())
                is_full = os.fstat(file).st_size >= FULL_BYTES
            finally:
                os.close(file)
        except OSError as error:
            sys.stderr.write(f"nanoraster: {self._path}: {error.strerror}; not logged: {line}\n")
            return
        if is_full:
            self._begin_anew()

    def _begin_anew(self) -> None:
        try:
            removed = self._old.put_aside()
        except FileNotFoundError:  # another process has just done so
            return
        except OSError as error:
            sys.stderr.write(f"nanoraster: {self._path}: {error.strerror}; it is full, and grows on\n")
            return
        for part in removed:
            self.write("nanoraster", "audit log", "done", reason=f"{part} is the oldest of too many, and was removed")


def _end_of_torn_line(file: int) -> str:
    """What has to come first where a full disk or a power cut left half a line."""
    size = os.fstat(file).st_size
    return "\n" if size and os.pread(file, 1, size - 1) != b"\n" else ""
