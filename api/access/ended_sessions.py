"""Sessions that somebody logged out of: kept until they would be over anyway, also across a new start of the service.

Of each a hash is kept: the file lets nobody in, whatever becomes of it.
"""

import json
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from acquisition.durable import write_durably
from api.access.tokens import TokenFileError

FILE = "sessions_ended.json"


class EndedSessions:
    """Those of a data folder."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = folder / FILE
        self._clock = clock
        self._until_s: dict[str, int] | None = None

    def add(self, cookie: str, expires_s: int) -> None:
        """End one, which would be over at a time of the epoch.

        Raises:
            TokenFileError: it is ended as long as the service runs, and could not be written down.
        """
        known = self._known()
        known[_hash(cookie)] = expires_s
        for hashed in [each for each, until_s in known.items() if until_s <= self._clock()]:
            del known[hashed]
        try:
            write_durably(self._path, json.dumps(known), private=True)
        except OSError as error:
            raise TokenFileError([f"{self._path}: {error.strerror}"]) from error

    def __contains__(self, cookie: str) -> bool:
        return _hash(cookie) in self._known()

    def _known(self) -> dict[str, int]:
        """Read once: no other process ends any."""
        if self._until_s is None:
            try:
                self._until_s = dict(json.loads(self._path.read_text())) if self._path.exists() else {}
            except (OSError, ValueError) as error:
                raise TokenFileError([f"{self._path}: {error}"]) from error
        return self._until_s


def _hash(cookie: str) -> str:
    return sha256(cookie.encode(errors="replace")).hexdigest()
