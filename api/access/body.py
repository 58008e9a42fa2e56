"""The body of a request, read whole before anything is done with it: neither endless nor for ever on its way."""

import asyncio
from contextlib import suppress
from http import HTTPStatus

from starlette.types import Message, Receive

from acquisition.plan_file import LARGEST_BYTES
from api.access.refused import Refused

LONGEST_S = 10.0
GLANCE_S, GLANCE_BYTES = 0.2, 2**16
"""How long anybody waits for the body of a stop, and how much of it is worth a look."""
MOST = {b":": (1000, "keys"), b",": (20_000, "values")}
"""Signs of which JSON has one for each. A plan of the most corners has 2000 commas; to read and refuse what has many
more holds everybody up."""


async def read_body(receive: Receive) -> bytes:
    """All of it.

    Raises:
        Refused: it is too large, holds too much, is too slow, or cut off: a command may not go by what is usual because
            its end was lost.
    """
    try:
        async with asyncio.timeout(LONGEST_S):
            body = await _read(receive)
    except TimeoutError:
        raise Refused(HTTPStatus.REQUEST_TIMEOUT, f"the body did not come within {LONGEST_S:g} s") from None
    for sign, (most, what) in MOST.items():
        if body.count(sign) > most:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"body: more than {most} {what}")
    return body


async def glance_at_body(receive: Receive) -> bytes:
    """What comes of it at once: whatever is too long, cut off, or still on its way holds up nobody."""
    body = bytearray()
    with suppress(TimeoutError):
        async with asyncio.timeout(GLANCE_S):
            while len(body) < GLANCE_BYTES and (message := await receive())["type"] == "http.request":
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    break
    return bytes(body[:GLANCE_BYTES])


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while (message := await receive())["type"] == "http.request":
        body += message.get("body", b"")
        if len(body) > LARGEST_BYTES:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"body: larger than {LARGEST_BYTES} bytes")
        if not message.get("more_body", False):
            return bytes(body)
    raise Refused(HTTPStatus.BAD_REQUEST, f"body: cut off after {len(body)} bytes")


def replayed(body: bytes, receive: Receive) -> Receive:
    """Let whoever comes next receive the body, as if it came only now."""
    begun = False

    async def again() -> Message:
        nonlocal begun
        if begun:
            return await receive()
        begun = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
