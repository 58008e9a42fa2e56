"""Parts of the log of commands that are full: put aside, packed, and the oldest removed once there are very many.

The part put aside last is not packed yet: somebody may have opened it as the log, and be about to add a line.
"""

import fcntl
import gzip
import re
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from acquisition.durable import write_durably

MOST = 100  # of some 0.5 MB, packed
PLAIN, PACKED = ".jsonl", ".jsonl.gz"
UNTIL = re.compile(r"\d{8}T\d{6}-\d{6}Z")


class OldAudits:
    """Those of one log; `audit-20261121T220000-000000Z.jsonl` is what `audit.jsonl` was until then."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._packing = threading.Lock()

    def put_aside(self) -> list[str]:
        """Let the log begin anew; the names of the parts that had to be removed for it.

        Raises:
            OSError: the log goes on as it is.
        """
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S-%fZ")
        before = self._parts()
        self._log.rename(self._log.with_name(f"{self._log.stem}-{now}{PLAIN}"))
        removed = before[: max(len(before) + 1 - MOST, 0)]
        for part in removed:
            part.unlink(missing_ok=True)
        threading.Thread(target=self._pack, args=(before,), name="packing old audits", daemon=True).start()
        return [part.name for part in removed]

    def _parts(self) -> list[Path]:
        """From the oldest on; whatever else lies there is somebody's own."""
        named = re.compile(f"{re.escape(self._log.stem)}-{UNTIL.pattern}(?:{PACKED}|{PLAIN})")
        return sorted(each for each in self._log.parent.iterdir() if named.fullmatch(each.name))

    def _pack(self, parts: list[Path]) -> None:
        with self._packing:
            for part in parts:
                try:
                    if part.suffix == PLAIN:
                        _pack_alone(part)
                except (FileNotFoundError, BlockingIOError):  # another process has packed or removed it, or is about to
                    continue
                except OSError as error:
                    sys.stderr.write(f"nanoraster: {part}: {error.strerror}; left as it is\n")


def _pack_alone(part: Path) -> None:
    """Pack a part that no other process packs.

    Raises:
        FileNotFoundError: one has. BlockingIOError: one is just doing so.
    """
    with part.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        part.stat()  # it may have gone before it was ours
        write_durably(part.with_suffix(PACKED), gzip.compress(file.read()), private=True)
        part.unlink()
