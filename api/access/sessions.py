"""Sessions of browsers: a signed cookie that says whose token was shown, and until when. The token is not in it.

The signature is made with a key of the data folder and with the hash of the token, so that whoever revokes a token ends
its sessions, and a new start of the service ends none.
"""

import base64
import hmac
import re
import secrets
import time
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path

from acquisition.durable import write_durably
from api.access.ended_sessions import EndedSessions
from api.access.tokens import Token, TokenFileError

COOKIE = "nanoraster_session"
FILE = "session.key"
LONGEST_S = 12 * 3600  # a night, and the morning after it
KEY_BYTES = 32
NUMBER_BYTES = 8
EXPIRY = re.compile(r"[0-9]{1,12}")


class Sessions:
    """Those of a data folder; nothing is kept of one but its cookie, until it is logged out of."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = folder / FILE
        self._clock = clock
        self._known: bytes | None = None
        self._ended = EndedSessions(folder, clock)

    def begin(self, token: Token) -> str:
        """The cookie of whoever has shown a token.

        Raises:
            TokenFileError
        """
        expires_s = round(self._clock()) + LONGEST_S
        number = secrets.token_hex(NUMBER_BYTES)  # tells it from another one of the same second
        return f"{_packed(token.name)}.{expires_s}.{number}.{self._signed(token, expires_s, number)}"

    def owner_of(self, cookie: str, tokens: Iterable[Token]) -> Token | None:
        """The valid token, one of `tokens`, that was shown at the beginning; None: forged, over, or revoked since.

        Raises:
            TokenFileError
        """
        packed, expires, number, signature = _parts(cookie)
        if not EXPIRY.fullmatch(expires) or int(expires) <= self._clock() or cookie in self._ended:
            return None
        found = None
        for token in tokens:
            if token.is_valid and _packed(token.name) == packed:
                signed = self._signed(token, int(expires), number)
                found = token if hmac.compare_digest(signed.encode(), signature.encode(errors="replace")) else found
        return found

    def end(self, cookie: str) -> None:
        """Let nobody in by the cookie of a session any more, though it is still good.

        Raises:
            TokenFileError
        """
        self._ended.add(cookie, int(_parts(cookie)[1]))

    def _signed(self, token: Token, expires_s: int, number: str) -> str:
        said = f"{token.name} {expires_s} {number} {token.sha256}".encode(errors="replace")
        return hmac.new(self._key(), said, sha256).hexdigest()

    def _key(self) -> bytes:
        """Of this folder; made when it is needed first."""
        if self._known is None:
            try:
                if not self._path.exists():
                    write_durably(self._path, secrets.token_bytes(KEY_BYTES), private=True)
                self._known = self._path.read_bytes()
            except OSError as error:
                raise TokenFileError([f"{self._path}: {error.strerror}"]) from error
        return self._known


def _parts(cookie: str) -> tuple[str, str, str, str]:
    """Of whom, until when, which, and the signature."""
    packed, expires, number, signature = (*cookie.split(".", 3), "", "", "")[:4]
    return packed, expires, number, signature


def _packed(name: str) -> str:
    """A name as a cookie may hold it."""
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")
