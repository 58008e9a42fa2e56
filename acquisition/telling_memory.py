"""What each channel was told, so that a run that starts again tells nothing twice."""

import json
import threading
from pathlib import Path

from acquisition.durable import write_durably


class ToldMemory:
    """`told.json` in the run directory: for each channel and class, the number of the last event that was told.

    One for a run: the threads of all its channels share it.
    """

    def __init__(self, run: Path) -> None:
        self._path = run / "told.json"
        self._lock = threading.Lock()

    def last(self, channel: str) -> dict[str, int]:
        """The last event told of each class; read anew each time, for a guardian may have told meanwhile."""
        return self._read().get(channel, {})

    def remember(self, channel: str, told_class: str, seq: int) -> None:
        """Note that a channel was told everything of a class up to an event; on the disk when this returns.

        Raises:
            OSError: it cannot be written; after a restart the message would come again.
        """
        with self._lock:
            told = self._read()
            told.setdefault(channel, {})[told_class] = seq
            write_durably(self._path, json.dumps(told, indent=1))

    def _read(self) -> dict[str, dict[str, int]]:
        try:
            found: dict[str, dict[str, int]] = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found
