"""The live view as a stream of JPEGs that any browser shows."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from http import HTTPStatus

from fastapi import APIRouter, HTTPException, Request, Response
from starlette.types import Receive, Scope, Send

from api.access.access_of import AccessOf, CallerOf
from api.bell import Bell
from api.connections import ABORT
from api.live_view import LiveView

router = APIRouter()

MOST_WATCHERS = 100
MOST_OF_ONE = 60  # of one token; 50 may watch with the same
LOOK_S = 0.5  # whether one still may watch; pictures are rung for
SEND_S = 10.0  # who takes no picture for so long is dead
BOUNDARY = b"nanoraster-frame"
MEDIA_TYPE = f"multipart/x-mixed-replace; boundary={BOUNDARY.decode()}"


@router.get(
    "/live.mjpg",
    response_class=Response,
    responses={
        200: {"content": {"multipart/x-mixed-replace": {}}, "description": "JPEGs, 5 a second at most, without end."},
        503: {"description": "Too many watch already."},
    },
)
async def watch(request: Request, access: AccessOf, caller: CallerOf) -> Response:
    """What the camera sees, its contrast stretched; of a run, the frame that was stored last.

    A watcher who cannot keep up misses pictures; nobody waits for him.
    """
    view, watchers, bell = request.app.state.live, request.app.state.watchers, request.app.state.pictures
    if why := watchers.why_not(caller.name, MOST_WATCHERS, MOST_OF_ONE):
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, f"the live view is full: {why}")

    def may_watch() -> bool:
        return access.lets_in(caller) and not request.app.state.is_ending

    return _Stream(view, bell, lambda: watchers.taken(caller.name), may_watch)


class _Stream(Response):
    """Sends whatever picture is the latest whenever the last one has been taken."""

    def __init__(
        self,
        view: LiveView,
        bell: Bell,
        seat: Callable[[], AbstractContextManager[None]],
        may_watch: Callable[[], bool],
    ) -> None:
        super().__init__(media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})
        del self.headers["Content-Length"]
        self._view = view
        self._bell = bell
        self._seat = seat
        self._may_watch = may_watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        leaving = asyncio.create_task(_until_gone(receive))
        self._view.join()
        try:
            with self._seat():
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                await self._show(send, leaving)
        except (TimeoutError, asyncio.CancelledError):  # he is dead, or the service ends and he does not let go
            await _cut_off(scope, leaving)
        finally:
            leaving.cancel()
            self._view.leave()

    async def _show(self, send: Send, leaving: "asyncio.Task[None]") -> None:
        shown = 0
        while not leaving.done() and self._may_watch():
            rung = self._bell.next
            number, jpeg = self._view.latest
            if number == shown:
                await asyncio.wait([leaving, rung], timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
                continue
            shown = number
            await asyncio.wait_for(send({"type": "http.response.body", "body": _part(jpeg), "more_body": True}), SEND_S)
        if not leaving.done():
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _cut_off(scope: Scope, leaving: "asyncio.Task[None]") -> None:
    """Leave without a word whoever takes none."""
    if (abort := scope.get("extensions", {}).get(ABORT, {}).get("now")) is not None:
        abort()
        await asyncio.wait([leaving], timeout=LOOK_S)


def _part(jpeg: bytes) -> bytes:
    head = b"--%s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % (BOUNDARY, len(jpeg))
    return head + jpeg + b"\r\n"


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
