"""The page on the app of the API: NiceGUI gives shell, Vue and Leaflet, all from this machine.

Imported by `serve` alone, for NiceGUI takes a second to import, and exists once in a process.
"""

import inspect
from http import HTTPStatus
from pathlib import Path

from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware
from nicegui import __version__ as shell_version
from nicegui import app as shell
from nicegui import ui
from nicegui.dependencies import compute_key, register_esm
from nicegui.element import Element
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp

from api.access.roles import PAGE
from api.page.headers import ASSETS, PageHeaders
from api.problems import tell_problems

WEB = Path(__file__).parent / "web"
LEAFLET = Path(inspect.getfile(ui.leaflet)).parent / "dist"
ICON = (WEB / "icon.svg").read_text()
STYLE = (WEB / "style.css").read_text()
ROOT = "control_room.js"
MODULES = sorted(path.name for path in WEB.glob("*.js") if path.name != ROOT)
CHANGED_S = max(path.stat().st_mtime for path in WEB.iterdir())
QUICKLY = 4  # of 9, which takes twice as long for 5 % less


class ControlRoom(Element, component=f"web/{ROOT}"):
    """All of the page, in the browser; nothing of it is kept here, and no command comes this way."""

    def __init__(self) -> None:
        super().__init__()
        self.add_resource(LEAFLET)


def mount_page(api: FastAPI) -> None:
    """Show the page under `/ui`, and send whoever asks for nothing there."""
    register_esm("nanoraster", WEB, max_time=CHANGED_S)
    modules = f"{ASSETS}{shell_version}/esm/{compute_key(WEB, max_time=CHANGED_S)}"
    at_once = "".join(f'<link rel="modulepreload" href="{modules}/{name}">' for name in MODULES)

    @ui.page("/")
    def page() -> None:
        ui.add_head_html(at_once)
        ui.add_css(STYLE)
        ControlRoom()

    @api.get("/", include_in_schema=False)
    async def to_page() -> RedirectResponse:
        return RedirectResponse(f"{PAGE}/", HTTPStatus.TEMPORARY_REDIRECT)

    shell.add_middleware(PageHeaders)
    tell_problems(shell)
    ui.run_with(
        api,
        mount_path=PAGE,
        title="nanoraster",
        favicon=ICON,
        dark=None,
        language="en-US",
        tailwind=False,
        binding_refresh_interval=None,
        message_history_length=0,
        show_welcome_message=False,
        gzip_middleware_factory=_packing,
    )


def _packing(app: ASGIApp) -> GZipMiddleware:
    return GZipMiddleware(app, minimum_size=1000, compresslevel=QUICKLY)
