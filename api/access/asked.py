"""A request as far as it matters for letting it through: read from its head, before any of its body."""

from dataclasses import dataclass
from typing import Self

from starlette.requests import HTTPConnection
from starlette.types import Scope

from api.access.sessions import COOKIE

LONGEST = 500  # characters of a path that anybody wants to read in a log


@dataclass(frozen=True)
class Asked:
    method: str  # of a WebSocket, GET
    path: str
    what: str  # as logged
    client: str
    host: str
    origin: str | None
    authorization: str | None
    session: str | None  # cookie of a browser that was logged in
    is_websocket: bool
    opens_page: bool
    """It comes from a browser's address line, or a link: what is answered will be read."""

    @classmethod
    def of(cls, scope: Scope) -> Self:
        """Read an ASGI scope."""
        connection = HTTPConnection(scope)
        method = scope.get("method", "GET")
        query = scope["query_string"].decode("latin-1")
        what = f"{method} {scope['path']}{'?' if query else ''}{query}"
        return cls(
            method,
            scope["path"],
            what[:LONGEST],
            connection.client.host if connection.client else "",
            connection.headers.get("host", ""),
            connection.headers.get("origin"),
            connection.headers.get("authorization"),
            connection.cookies.get(COOKIE),
            scope["type"] == "websocket",
            method == "GET" and "text/html" in connection.headers.get("accept", ""),
        )
