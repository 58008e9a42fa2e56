"""The live view as a stream of JPEGs that any browser shows."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from fastapi import APIRouter, HTTPException, Request, Response
from starlette.types import Receive, Scope, Send

from api.access.access_of import AccessOf, CallerOf
from api.bell import Bell
from api.live_view import LiveView

router = APIRouter()

MOST_WATCHERS = 100
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
    if len(watchers) >= MOST_WATCHERS:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, f"{MOST_WATCHERS} watch already")
    return _Stream(view, bell, watchers, lambda: access.lets_in(caller))


class _Stream(Response):
    """Sends whatever picture is the latest whenever the last one has been taken."""

    def __init__(self, view: LiveView, bell: Bell, watchers: set[object], may_watch: Callable[[], bool]) -> None:
        super().__init__(media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})
        del self.headers["Content-Length"]
        self._view = view
        self._bell = bell
        self._watchers = watchers
        self._may_watch = may_watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._watchers.add(self)
        self._view.join()
        leaving = asyncio.create_task(_until_gone(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._show(send, leaving)
        finally:
            leaving.cancel()
            self._view.leave()
            self._watchers.discard(self)

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


def _part(jpeg: bytes) -> bytes:
    head = b"--%s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % (BOUNDARY, len(jpeg))
    return head + jpeg + b"\r\n"


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
