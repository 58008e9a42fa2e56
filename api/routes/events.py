"""Everything that happens in the runs, as it happens, over a WebSocket."""

import asyncio
from contextlib import suppress
from typing import Annotated, Any, cast

from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect

from api.access.access_of import AccessOf, CallerOf
from api.bell import Bell
from api.events.log import EventLog

router = APIRouter()

LOOK_S = 0.5  # whether one still may listen; messages are rung for
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
    log, bell = cast(EventLog, socket.app.state.events), cast(Bell, socket.app.state.news)
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
            rung = bell.next
            found = await _messages(log, seq)
            for number, message in found:
                seq = number
                await asyncio.wait_for(socket.send_text(message), SEND_S)
            if not found:
                await asyncio.wait([hearing, rung], timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
    except (TimeoutError, WebSocketDisconnect):
        pass
    finally:
        listeners.discard(socket)
        hearing.cancel()
        with suppress(asyncio.CancelledError):
            await hearing


async def _messages(log: EventLog, seq: int) -> list[tuple[int, str]]:
    if log.newest <= seq:
        return []
    latest = log.remembered(seq)
    return latest if latest is not None else await asyncio.to_thread(log.messages, seq, MOST_AT_ONCE)


async def _until_gone(socket: WebSocket) -> Any:
    """Hear a listener out, who has nothing to say, until he is gone."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
