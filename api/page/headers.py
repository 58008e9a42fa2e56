"""What a browser is told about the page: to fetch nothing from elsewhere, and to let nobody frame it."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access.roles import PAGE

HEADERS = {
    # NiceGUI's shell is inline, and Vue compiles templates
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


ASSETS = f"{PAGE}/_nicegui/"
FOR_A_YEAR = "private, max-age=31536000, immutable"
"""What is kept of an asset: its address changes with it."""


class PageHeaders:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if scope["path"].startswith(ASSETS) and message["status"] == 200:
                    headers["Cache-Control"] = FOR_A_YEAR
            await send(message)

        await self._app(scope, receive, with_headers)
