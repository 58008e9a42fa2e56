"""The log of commands: who asked for what, when, and what came of it; a line of JSON each, in the data folder.

A line is one write to the end of the file, which outlives the process from then on; nobody waits for the disk. A log
that cannot be written is told on stderr and keeps nobody from stopping a rig.
"""

import json
import os
import sys
from pathlib import Path

from acquisition.journal import utc_now

FILE = "audit.jsonl"


class AuditLog:
    """Appended to by any number of threads and processes; may be moved away while it is written to."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def write(self, who: str, what: str, outcome: str, **more: object) -> None:
        """Add a line."""
        line = json.dumps({"at": utc_now(), "who": who, "what": what, "outcome": outcome, **more}, default=str)
        try:
            file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(file, f"{_end_of_torn_line(file)}{line}\n".encode())
            finally:
                os.close(file)
        except OSError as error:
            sys.stderr.write(f"nanoraster: {self._path}: {error.strerror}; not logged: {line}\n")


def _end_of_torn_line(file: int) -> str:
    """What has to come first where a full disk or a power cut left half a line."""
    size = os.fstat(file).st_size
    return "\n" if size and os.pread(file, 1, size - 1) != b"\n" else ""
