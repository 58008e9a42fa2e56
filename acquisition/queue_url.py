"""Which URLs a queue can be kept at; of what is wrong with one nothing is quoted that may be a password."""

from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

KINDS = ("sqlite", "postgresql")
GIVE_FILE = "give sqlite:////FOLDER/FILE.db"
GIVE = "sqlite:////FOLDER/FILE.db or postgresql://USER:PASSWORD@HOST/DATABASE"
ESCAPED = "is not escaped: @ is %40, / is %2F, : is %3A, % is %25"


def queue_url(text: str) -> URL:
    """Read the URL of a database that outlives us.

    Raises:
        ValueError: it is none, of a kind that is not supported, or SQLite that is no plain file on a disk.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError(
            f"database: not a URL that can be used: give {GIVE}; or what stands before its @ {ESCAPED}"
        ) from None
    kind = url.get_backend_name()
    if kind not in KINDS:
        raise ValueError(f"database: {kind}: neither SQLite nor PostgreSQL: give {GIVE}")
    if "\0" in (url.database or ""):
        raise ValueError(f"database: its name holds a null byte: give {GIVE}")
    if kind == "sqlite":
        _refuse_all_but_a_file(url)
    if "@" in f"{url.host}{url.database if kind == 'postgresql' else ''}":
        raise ValueError(f"database: its user or password {ESCAPED}")
    return url


def _refuse_all_but_a_file(url: URL) -> None:
    """Refuse SQLite in memory, and whatever could make it so: `vfs=memdb`, say, as options and URIs within URLs do."""
    named = url.database or ""
    if named in ("", "file:") or ":memory:" in named or url.query.get("mode") == "memory":
        raise ValueError(f"database: it would be in memory, and lost with this command: {GIVE_FILE}")
    if url.host or url.username or url.password or url.port:
        raise ValueError(f"database: SQLite has no host, user or password: {GIVE_FILE}")
    for key, value in url.query.items():
        shown = value if isinstance(value, str) else ", ".join(value)
        raise ValueError(f"database: {key} = {shown}: the URL of a SQLite file takes no options: {GIVE_FILE}")
    if named.startswith("file:"):
        raise ValueError(f"database: {named}: a URI where a path should stand: {GIVE_FILE}")
    try:
        usable = not (path := Path(named)).exists() or path.is_file()
    except OSError as error:  # such as a name that is too long
        raise ValueError(f"database: {named}: {error.strerror}: {GIVE_FILE}") from None
    if not usable:
        raise ValueError(f"database: {named}: not a file: {GIVE_FILE}")
