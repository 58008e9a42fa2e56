"""Everything that happens in the runs, as it happens, over a WebSocket."""

import asyncio
from contextlib import suppress
from typing import Annotated, Any, cast

from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect

from api.access.access_of import CallerOf
from api.bell import Bell
from api.events.log import AFTER_HEADER, EPOCH_HEADER, EventLog
from api.routes.seats import Seats

router = APIRouter()

MOST_AT_ONCE = 500
MOST_LISTENERS = 200
MOST_OF_ONE = 60  # of one token; 50 may watch with the same
SEND_S = 10.0  # who takes no message for so long is dead
LAST_NUMBER = 2**63 - 1
TOO_MANY = 1013  # RFC 6455
BEGUN_ANEW, FORGOTTEN = 4409, 4410  # RFC 6455: of our own


@router.websocket("/events")
async def follow_events(
    socket: WebSocket,
    caller: CallerOf,
    after: Annotated[int | None, Query(ge=0, le=LAST_NUMBER)] = None,
    epoch: Annotated[str | None, Query()] = None,
) -> None:
    """Send what came after number `after`, then what comes; without it, only what comes.

    Numbers rise, and stay what they are over a new start of the service, as long as `epoch` is the same. Whoever names
    another epoch, or a number that was not given yet, means a log that is gone: the code 4409 says to begin with 0, or
    without a number. The code 4410 says so too: what followed that number is too old to be kept. Number 0 begins with
    what is.

    Each message is JSON: `seq`, `epoch`, `run`, `at` (ISO 8601, UTC), `kind` and `data`: an event of the run's journal,
    or with the kind `tile` an attempt at a tile. The answer to the handshake tells the epoch, and after which number it
    begins, as `nanoraster-epoch` and `nanoraster-after`.
    """
    log, bell = cast(EventLog, socket.app.state.events), cast(Bell, socket.app.state.news)
    begin = log.newest if after is None else after
    told = {EPOCH_HEADER: log.epoch, AFTER_HEADER: str(begin)}
    await socket.accept(headers=[(name.encode(), value.encode()) for name, value in told.items()])
    seats = cast(Seats, socket.app.state.listeners)
    if seats.why_not(caller.name, MOST_LISTENERS, MOST_OF_ONE):
        await socket.close(TOO_MANY)
        return
    if begin > log.newest or epoch not in (None, log.epoch):
        await socket.close(BEGUN_ANEW)
        return
    if 0 < begin < log.forgotten:
        await socket.close(FORGOTTEN)
        return
    with seats.taken(caller.name):
        hearing = asyncio.create_task(_until_gone(socket))
        try:
            await _tell(socket, log, bell, hearing, begin)
        except (TimeoutError, WebSocketDisconnect):
            pass
        finally:
            hearing.cancel()
            with suppress(asyncio.CancelledError):
                await hearing


async def _tell(socket: WebSocket, log: EventLog, bell: Bell, hearing: "asyncio.Task[Any]", seq: int) -> None:
    """Send what follows a number, until the listener is gone, or may listen no more."""
    while not hearing.done():
        rung = bell.next
        found = await _messages(log, seq)
        for number, message in found:
            if hearing.done():
                return
            seq = number
            await asyncio.wait_for(socket.send_text(message), SEND_S)
        if not found:
            await asyncio.wait([hearing, rung], return_when=asyncio.FIRST_COMPLETED)


async def _messages(log: EventLog, seq: int) -> list[tuple[int, str]]:
    if log.newest <= seq:
        return []
    latest = log.remembered(seq)
    return latest if latest is not None else await asyncio.to_thread(log.messages, seq, MOST_AT_ONCE)


async def _until_gone(socket: WebSocket) -> Any:
    """Hear a listener out, who has nothing to say, until he is gone."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
