"""Where a browser shows a token, once, and gets the cookie of a session for it."""

from html import escape
from http import HTTPStatus
from pathlib import Path
from string import Template
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from api.access.access_of import AccessOf
from api.access.asked import Asked
from api.access.refused import Refused
from api.access.roles import LOGIN, LOGOUT, PAGE
from api.access.sessions import COOKIE, LONGEST_S
from api.problems import problem

router = APIRouter(include_in_schema=False)

MOST_FIELDS = 10
FORM = Template((Path(__file__).parent / "web" / "login.html").read_text())
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@router.get(LOGIN)
async def show_form(access: AccessOf) -> Response:
    """The form; nobody needs it where no token is asked for."""
    return _form() if access.asks_for_token() else _to_page()


@router.post(LOGIN)
async def log_in(request: Request, access: AccessOf) -> Response:
    """Begin a session, good for half a day and as long as the token is."""
    try:
        form = parse_qs((await request.body()).decode(errors="replace"), max_num_fields=MOST_FIELDS)
    except ValueError:
        form = {}
    try:
        cookie = access.log_in(Asked.of(request.scope), form.get("token", [""])[0].strip())
    except Refused as refusal:
        return _form(refusal)
    answer = _to_page()
    answer.set_cookie(
        COOKIE, cookie, max_age=LONGEST_S, httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )
    return answer


@router.post(LOGOUT)
async def log_out(request: Request, access: AccessOf) -> Response:
    """End the session, and forget it in this browser."""
    try:
        access.log_out(Asked.of(request.scope))
    except Refused as refusal:
        return problem(refusal.status, str(refusal))
    answer = RedirectResponse(LOGIN, HTTPStatus.SEE_OTHER)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


def _to_page() -> Response:
    return RedirectResponse(f"{PAGE}/", HTTPStatus.SEE_OTHER)


def _form(refusal: Refused | None = None) -> Response:
    said = escape(str(refusal)) if refusal else ""
    status = refusal.status if refusal else HTTPStatus.OK
    return HTMLResponse(FORM.substitute(said=said), status, {**HEADERS, **(refusal.headers if refusal else {})})
