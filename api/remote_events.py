"""What happens in the runs of a service, heard over a WebSocket and gone on with where the line was cut."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import connect

from api.events.log import AFTER_HEADER, EPOCH_HEADER
from api.remote import API, NanorasterError

AGAIN_S = 0.5
LARGEST_BYTES = 2**22
GOODBYE_S = 0.5  # for the other end to say goodbye, which may be behind many messages
REFUSED = {
    1008: "the token was revoked",
    1013: "too many listen already",
    4409: "their numbers have begun anew; ask with after=0, or without a number",
    4410: "what followed that number is not kept any more; ask with after=0, or without a number",
}


class Event(BaseModel):
    """Something that happened in a run; an attempt at a tile has the kind `tile`."""

    seq: int
    epoch: str
    run: str
    at: str
    kind: str
    data: dict[str, Any]


def follow(
    url: str, headers: Mapping[str, str], after: int | None, epoch: str | None, patience_s: float
) -> Iterator[Event]:
    """Each event once, in order, without end; see `Client.events`.

    Raises:
        NanorasterError: one is not let in, no service has answered for `patience_s`, or the numbers have begun anew.
    """
    address = "ws" + url.removeprefix("http") + API + "/events"
    heard_s = time.monotonic()
    while True:
        try:
            with connect(
                _from(address, after, epoch),
                additional_headers=headers,
                max_size=LARGEST_BYTES,
                close_timeout=GOODBYE_S,
            ) as socket:
                assert socket.response is not None
                after, epoch = int(socket.response.headers[AFTER_HEADER]), socket.response.headers[EPOCH_HEADER]
                for message in socket:
                    event = Event.model_validate(json.loads(message))
                    after, heard_s = event.seq, time.monotonic()
                    yield event
                    heard_s = time.monotonic()
                _refuse_if_told(socket.close_code)
        except InvalidStatus as error:
            status = error.response.status_code
            raise NanorasterError(f"{address}: not let in", status) from error
        except ConnectionClosed as error:
            _refuse_if_told(error.rcvd.code if error.rcvd else None)
        except (OSError, InvalidHandshake, TimeoutError) as error:
            if time.monotonic() - heard_s > patience_s:
                raise NanorasterError(f"{address}: {str(error) or type(error).__name__}") from error
        time.sleep(AGAIN_S)


def _from(address: str, after: int | None, epoch: str | None) -> str:
    asked = {"after": after, "epoch": epoch}
    return f"{address}?{urlencode({name: value for name, value in asked.items() if value is not None})}"


def _refuse_if_told(code: int | None) -> None:
    if code in REFUSED:
        raise NanorasterError(f"events: {REFUSED[code]}")
