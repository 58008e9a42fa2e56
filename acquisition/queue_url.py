"""Which URLs a queue can be kept at; of what is wrong with one nothing is quoted that may be a password."""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

KINDS = ("sqlite", "postgresql")
GIVE = "sqlite:////FOLDER/FILE.db or postgresql://USER:PASSWORD@HOST/DATABASE"
ESCAPED = "is not escaped: @ is %40, / is %2F, : is %3A, % is %25"


def queue_url(text: str) -> URL:
    """Read the URL of a database that outlives us.

    Raises:
        ValueError: it is none, or of a kind that is not supported, or a database in memory.
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
    if kind == "sqlite" and _in_memory(url):
        raise ValueError("database: it would be in memory, and lost with this command: give sqlite:////FOLDER/FILE.db")
    if "@" in f"{url.host}{url.database if kind == 'postgresql' else ''}":
        raise ValueError(f"database: its user or password {ESCAPED}")
    return url


def _in_memory(url: URL) -> bool:
    named = url.database or ""
    return named in ("", "file:") or ":memory:" in named or url.query.get("mode") == "memory"
