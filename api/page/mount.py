"""The page on the app of the API: NiceGUI gives shell, Vue and Leaflet, all from this machine.

Imported by `serve` alone, for NiceGUI takes a second to import, and exists once in a process.
"""

import inspect
from http import HTTPStatus
from pathlib import Path

from fastapi import FastAPI
from nicegui import app as shell
from nicegui import ui
from nicegui.element import Element
from starlette.responses import RedirectResponse

from api.access.roles import PAGE
from api.page.headers import PageHeaders

WEB = Path(__file__).parent / "web"
LEAFLET = Path(inspect.getfile(ui.leaflet)).parent / "dist"
ICON = (WEB / "icon.svg").read_text()
STYLE = (WEB / "style.css").read_text()


class ControlRoom(Element, component="web/control_room.js", esm={"nanoraster": "web"}):
    """All of the page, in the browser; nothing of it is kept here, and no command comes this way."""

    def __init__(self) -> None:
        super().__init__()
        self.add_resource(LEAFLET)


def mount_page(api: FastAPI) -> None:
    """Show the page under `/ui`, and send whoever asks for nothing there."""

    @ui.page("/")
    def page() -> None:
        ui.add_css(STYLE)
        ControlRoom()

    @api.get("/", include_in_schema=False)
    async def to_page() -> RedirectResponse:
        return RedirectResponse(f"{PAGE}/", HTTPStatus.TEMPORARY_REDIRECT)

    shell.add_middleware(PageHeaders)
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
    )
