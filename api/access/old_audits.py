"""Parts of the log of commands that are full: put aside, packed, and the oldest removed once there are very many.

The part put aside last is not packed yet: somebody may have opened it as the log, and be about to add a line.
"""

import gzip
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from acquisition.durable import write_durably

MOST = 100  # of some 0.5 MB, packed
PLAIN, PACKED = ".jsonl", ".jsonl.gz"


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
        """From the oldest on."""
        return sorted(each for end in (PLAIN, PACKED) for each in self._log.parent.glob(f"{self._log.stem}-*{end}"))

    def _pack(self, parts: list[Path]) -> None:
        with self._packing:
            for part in parts:
                try:
                    if part.suffix == PLAIN and part.exists():
                        write_durably(part.with_suffix(PACKED), gzip.compress(part.read_bytes()), private=True)
                        part.unlink()
                except OSError as error:
                    sys.stderr.write(f"nanoraster: {part}: {error.strerror}; left as it is\n")
