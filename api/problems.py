"""Errors as `application/problem+json` (RFC 9457)."""

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from api.errors import STATUS, lines
from devices.model import FileError, reason

MOST_REASONS = 20  # what somebody reads before asking again
KEY = re.compile(r"[\w.]+")


def tell_problems(app: FastAPI) -> None:
    """Let the app answer with a problem whatever goes wrong, in it or around it."""
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(HTTPStatus.NOT_FOUND, _of_http)  # of which NiceGUI makes a page of its own
    app.add_exception_handler(RequestValidationError, _of_input)
    for kind in STATUS:
        app.add_exception_handler(kind, _of_ours)


def problem(status: HTTPStatus, detail: str, errors: Iterable[str] = ()) -> JSONResponse:
    """One problem; `errors` are lines that begin with the key that is wrong, a few of them."""
    body: dict[str, Any] = {"type": "about:blank", "title": status.phrase, "status": status, "detail": _utf8(detail)}
    by_key = defaultdict(list)
    for line in map(_utf8, errors):
        found = KEY.match(line)
        by_key[found[0] if found else ""].append(line)
    if by_key:
        body["errors"] = by_key
    return JSONResponse(body, status, media_type="application/problem+json")


async def _of_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI's word for a body that is no text, or nested too deeply
        said = f"body: not JSON: {error.__cause__}"
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, said, [said])
    return problem(HTTPStatus(error.status_code), f"{request.method} {request.url.path}: {error.detail}")


async def _of_input(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    wrong = [_in_words(detail) for detail in found[:MOST_REASONS]]
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, _joined(wrong, len(found)), wrong)


def _joined(reasons: Sequence[str], count: int) -> str:
    """The first of so many reasons in a line."""
    shown = reasons[:MOST_REASONS]
    more = [f"and {count - len(shown):,} more"] if count > len(shown) else []
    return "; ".join([*shown, *more])


def _in_words(detail: Any) -> str:
    """What is wrong with one key of a body, query or path; or with a body as a whole."""
    if detail["type"] == "json_invalid":
        return f"body: not JSON: {detail['ctx']['error']} (character {detail['loc'][-1]})"
    return reason(detail | {"loc": detail["loc"][1:] or detail["loc"]})


def _utf8(text: str) -> str:
    """As it can be sent: a key may hold half a character."""
    return text.encode(errors="backslashreplace").decode()


async def _of_ours(request: Request, error: Exception) -> JSONResponse:
    status = next(number for kind, number in STATUS.items() if isinstance(error, kind))
    said = lines(error)
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        sys.stderr.write(f"nanoraster: {request.method} {request.url.path}: {'; '.join(said)}\n")
    return problem(status, _joined(said, len(said)), said[:MOST_REASONS] if isinstance(error, FileError) else ())
