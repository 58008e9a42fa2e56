"""Connections: how many there are, of whom, and how long one may take to ask; enough descriptors stay for the rig.

All of them stay below 1024, beyond which `select`, with which serial lines are read, does not see a descriptor.
"""

import asyncio
import resource
from collections import Counter
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

MOST = 600  # 50 who watch have some 8 each, and `RESERVED` descriptors are left for devices, stores and logs
RESERVED, LEAST = 400, 20
MOST_OF_ONE = 450  # from one address: all who come through a proxy are one
HEAD_S = 10.0  # for the head of a request, from the beginning of the connection or of the next request
LARGEST_HEAD_BYTES = 2**16
ABORT = "nanoraster.abort"
"""By this name an ASGI scope has, among its extensions, what closes the connection: `now`."""


def raise_limit() -> None:
    """Let this process have as many files open as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Connections:
    """Those that are open; used by the thread of the event loop."""

    def __init__(self) -> None:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = MOST if limit == resource.RLIM_INFINITY else max(min(MOST, limit - RESERVED), LEAST)
        self._open: Counter[str] = Counter()
        self._silent: dict[_Http, None] = {}  # they have not asked for anything yet, who came first comes first

    def come(self, who: "_Http") -> bool:
        """Whether one more has room; where it has not, who has been silent for longest gives way."""
        is_full = self._open.total() >= self._most
        if is_full or self._open[who.address] >= MOST_OF_ONE:
            crowd = (each for each in self._silent if is_full or each.address == who.address)
            if (silent := next(crowd, None)) is None:
                return False
            silent.give_up()
        self._open[who.address] += 1
        self._silent[who] = None
        return True

    def asks(self, who: "_Http") -> None:
        """It has asked, and is not silent any more."""
        self._silent.pop(who, None)

    def go(self, address: str) -> None:
        """One from there is gone."""
        self._open[address] -= 1
        if self._open[address] <= 0:
            del self._open[address]


class BoundedConfig(uvicorn.Config):
    """Uvicorn's, whose connections are counted."""

    def __init__(self, app: FastAPI, **more: Any) -> None:
        super().__init__(app, http=_Http, ws=_WebSocket, **more)
        self.connections = Connections()


class _Http(HttpToolsProtocol):
    """Closed if it has no room, or no head comes in time."""

    address = ""
    _is_counted = False
    _waiting: asyncio.TimerHandle | None = None
    _head_bytes = 0

    @property
    def _connections(self) -> Connections:
        return cast(BoundedConfig, self.config).connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._is_counted = self._connections.come(self)
        if self._is_counted:
            self._wait()
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._heard()
        self._leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._head_bytes = self._head_bytes + len(data) if self._waiting is not None else 0
        if self._head_bytes > LARGEST_HEAD_BYTES:
            self.give_up()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"now": self.transport.abort}}
        self._wait()

    def on_headers_complete(self) -> None:
        self._heard()
        super().on_headers_complete()

    def give_up(self) -> None:
        """Close it at once."""
        self._heard()
        self._leave()
        self.transport.abort()

    def _wait(self) -> None:
        if self._waiting is None:
            self._waiting = self.loop.call_later(HEAD_S, self.give_up)

    def _heard(self) -> None:
        self._connections.asks(self)
        if self._waiting is not None:
            self._waiting.cancel()
        self._waiting = None

    def _leave(self) -> None:
        if self._is_counted:
            self._connections.go(self.address)
        self._is_counted = False


class _WebSocket(WebSocketsSansIOProtocol):
    """What an HTTP connection has become: counted as that already."""

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        cast(BoundedConfig, self.config).connections.go(self.client[0] if self.client else "")
