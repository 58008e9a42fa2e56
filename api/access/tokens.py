"""Tokens: who has one, and what it lets them do. Of each, the file keeps a hash alone, and who owns the file reads it.

A token is 256 random bits, so a plain SHA-256 of it can no more be guessed from than the token itself.
"""

import fcntl
import hmac
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from acquisition.durable import write_durably
from acquisition.journal import utc_now
from api.access.roles import Role
from api.errors import UsageError
from devices.model import FileError, Model, reasons

FILE = "tokens.json"
MARK = "nr_"  # by which people, and scanners for leaked secrets, know what it is
RANDOM_BYTES = 32
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class TokenFileError(FileError):
    """The file of tokens cannot be read: nobody is let in."""


class Token(Model):
    """What is kept of one."""

    name: str
    role: Role
    sha256: str
    created_at: str
    revoked_at: str | None = None

    @property
    def is_valid(self) -> bool:
        return self.revoked_at is None


_TOKENS = TypeAdapter(tuple[Token, ...])
_Seen = tuple[int, int, int]


class Tokens:
    """The tokens of a data folder, as its file has them at the moment of each question."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._known: tuple[_Seen | None, tuple[Token, ...]] = None, ()

    def all(self) -> tuple[Token, ...]:
        """Every token there ever was, in the order of their making; the file is read only if it has changed.

        Raises:
            TokenFileError
        """
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise TokenFileError([f"{self._path}: {error.strerror}"]) from error
        seen = there.st_ino, there.st_mtime_ns, there.st_size
        if self._known[0] != seen:
            self._known = seen, self._read()
        return self._known[1]

    def owner_of(self, secret: str) -> Token | None:
        """The valid token that a secret is, compared in constant time with every one there is.

        Raises:
            TokenFileError
        """
        hashed = _hash(secret)
        found = None
        for token in self.all():
            if hmac.compare_digest(token.sha256, hashed) and token.is_valid:
                found = token
        return found

    def create(self, name: str, role: Role) -> str:
        """Let somebody in; the secret, which is kept nowhere.

        Raises:
            UsageError: no name, or somebody has it; TokenFileError
        """
        if not NAME.fullmatch(name):
            raise UsageError(f"--name {name!r}: should be 1..64 letters, digits or . _ @ -, the first no sign")
        with self._changing() as tokens:
            if any(token.name == name and token.is_valid for token in tokens):
                raise UsageError(f"--name {name}: has a token; revoke it first")
            secret = MARK + secrets.token_urlsafe(RANDOM_BYTES)
            self._write((*tokens, Token(name=name, role=role, sha256=_hash(secret), created_at=utc_now())))
        return secret

    def revoke(self, name: str) -> None:
        """Let somebody in no more.

        Raises:
            UsageError: nobody of that name has a valid token; TokenFileError
        """
        with self._changing() as tokens:
            if not any(token.name == name and token.is_valid for token in tokens):
                raise UsageError(f"token revoke {name}: nobody of that name has a valid token")
            now = utc_now()
            self._write(
                tuple(
                    token.model_copy(update={"revoked_at": now}) if token.name == name and token.is_valid else token
                    for token in tokens
                )
            )

    @contextmanager
    def _changing(self) -> Iterator[tuple[Token, ...]]:
        """The tokens as they are, which nobody else changes meanwhile.

        Raises:
            UsageError: there is no such folder, or it is not ours; TokenFileError
        """
        try:
            lock = self._path.with_suffix(".lock").open("w")
        except OSError as error:
            raise UsageError(f"data folder {self._path.parent}: {error.strerror}") from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.all()

    def _write(self, tokens: tuple[Token, ...]) -> None:
        write_durably(self._path, _TOKENS.dump_json(tokens, indent=2), private=True)

    def _read(self) -> tuple[Token, ...]:
        try:
            return _TOKENS.validate_json(self._path.read_bytes())
        except OSError as error:
            raise TokenFileError([f"{self._path}: {error.strerror}"]) from error
        except ValidationError as error:
            raise TokenFileError([f"{self._path}: {line}" for line in reasons(error)]) from None


def _hash(secret: str) -> str:
    return sha256(os.fsencode(secret)).hexdigest()
