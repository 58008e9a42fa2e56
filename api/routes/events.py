"""Everything that happens in the runs, as it happens, over a WebSocket."""

import asyncio
from contextlib import suppress
from typing import Annotated, Any, cast

from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect

from api.access.access_of import AccessOf, CallerOf
from api.events.log import EventLog

router = APIRouter()

LOOK_S = 0.1
MOST_AT_ONCE = 500
MOST_LISTENERS = 200
SEND_S = 10.0  # who takes no message for so long is dead
LAST_NUMBER = 2**63 - 1
REVOKED, TOO_MANY = 1008, 1013  # RFC 6455


@router.websocket("/events")
async def follow_events(
    socket: WebSocket,
    access: AccessOf,
    caller: CallerOf,
    after: Annotated[int | None, Query(ge=0, le=LAST_NUMBER)] = None,
) -> None:
    """Send what came after number `after`, then what comes; without it, only what comes.

    Each message is JSON: `seq`, `run`, `at` (ISO 8601, UTC), `kind` and `data`: an event of the run's journal, or with
    the kind `tile` an attempt at a tile. Numbers rise, and stay what they are over a new start of the service.
    """
    log = cast(EventLog, socket.app.state.events)
    await socket.accept()
    listeners = socket.app.state.listeners
    if len(listeners) >= MOST_LISTENERS:
        await socket.close(TOO_MANY)
        return
    listeners.add(socket)
    hearing = asyncio.create_task(_until_gone(socket))
    try:
        seq = log.newest if after is None else after
        while not hearing.done():
            if not access.lets_in(caller):
                await socket.close(REVOKED)
                return
            found = await asyncio.to_thread(log.after, seq, MOST_AT_ONCE) if log.newest > seq else []
            for message in found:
                seq = message["seq"]
                await asyncio.wait_for(socket.send_json(message), SEND_S)
            if not found:
                await asyncio.wait([hearing], timeout=LOOK_S)
    except (TimeoutError, WebSocketDisconnect):
        pass
    finally:
        listeners.discard(socket)
        hearing.cancel()
        with suppress(asyncio.CancelledError):
            await hearing


async def _until_gone(socket: WebSocket) -> Any:
    """Hear a listener out, who has nothing to say, until he is gone."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
