"""The body of a request, read whole before anything is done with it: neither endless nor for ever on its way."""

import asyncio
from http import HTTPStatus

from starlette.types import Message, Receive

from api.access.refused import Refused

LARGEST_BYTES = 2**20  # a polygon of some 30,000 corners
LONGEST_S = 10.0


async def read_body(receive: Receive) -> bytes:
    """All of it.

    Raises:
        Refused: it is too large, too slow, or cut off: a command may not go by what is usual because its end was lost.
    """
    try:
        async with asyncio.timeout(LONGEST_S):
            return await _read(receive)
    except TimeoutError:
        raise Refused(HTTPStatus.REQUEST_TIMEOUT, f"the body did not come within {LONGEST_S:g} s") from None


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
