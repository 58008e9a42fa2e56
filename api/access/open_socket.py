"""A WebSocket is open for as long as whoever opened it would be let in, and for some moments more."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOK_S = 0.5
POLICY_VIOLATION = 1008  # RFC 6455; before a WebSocket was accepted, it answers 403


async def while_let_in(app: ASGIApp, scope: Scope, receive: Receive, send: Send, is_let_in: Callable[[], bool]) -> None:
    """Serve it; then close it, and let the app know as if the other end had gone."""
    is_closed = False

    async def said(message: Message) -> None:
        if not is_closed:
            await send(message)

    async def heard() -> Message:
        nonlocal is_closed
        hearing = asyncio.ensure_future(receive())
        try:
            await asyncio.wait([hearing, refused], return_when=asyncio.FIRST_COMPLETED)
            if hearing.done():
                return hearing.result()
        finally:
            hearing.cancel()
        if not is_closed:
            is_closed = True
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": ""})
        return {"type": "websocket.disconnect", "code": POLICY_VIOLATION}

    refused = asyncio.create_task(_until(lambda: not is_let_in()))
    try:
        await app(scope, heard, said)
    finally:
        refused.cancel()
        with suppress(asyncio.CancelledError):
            await refused


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(LOOK_S)
