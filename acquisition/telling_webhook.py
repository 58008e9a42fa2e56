"""Telling by webhook: one POST of JSON. Its `text` is what chat services show."""

import base64
import json
import os
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request

from acquisition.telling_message import Message
from acquisition.web import opener
from devices.telling_settings import Webhook

TIMEOUT_S = 10.0  # for all of an exchange


class NotTold(OSError):
    """A message did not get through; says why, without any secret."""


class _NoRedirect(HTTPRedirectHandler):
    """Followed, a redirect would make a GET of our POST, and carry our headers to somebody else."""

    def redirect_request(self, *unused: Any) -> None:
        return None


def post(settings: Webhook, message: Message) -> None:
    """Post a message; returns once it was accepted.

    Raises:
        NotTold: nobody there, refused, or a variable of the environment is not set.
    """
    url = settings.url or secret(settings.url_env or "")
    headers = {header: secret(variable) for header, variable in settings.headers_env.items()}
    try:
        request = Request(url, json.dumps(body(message)).encode(), {"Content-Type": "application/json"} | headers)
        with opener(TIMEOUT_S, _NoRedirect()).open(request) as answer:
            answer.read(1)
    except (OSError, HTTPException) as error:
        raise NotTold(in_words(error)) from error
    except ValueError as error:  # its own words would quote the address or the header
        raise NotTold("the address or a header is malformed") from error


def body(message: Message) -> dict[str, object]:
    """What is posted."""
    return {
        "id": message.id,
        "text": message.text,
        "run": message.run,
        "folder": message.folder,
        "class": message.told_class,
        "count": message.count,
        "events": [vars(event) for event in message.events],
        "reason": message.reason,
        "progress": {"done": message.progress.done, "planned": message.progress.planned},
        "expected_end": message.expected_end and message.expected_end.isoformat(timespec="seconds"),
        "waits_for": message.progress.waits_for,
        "picture_png_base64": message.picture and base64.b64encode(message.picture).decode(),
    }


def in_words(error: Exception) -> str:
    """What stood in the way, without the names and numbers of Python."""
    cause = error.reason if isinstance(error, URLError) and not isinstance(error, HTTPError) else error
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


def secret(variable: str) -> str:
    """A value from the environment.

    Raises:
        NotTold: it is not set.
    """
    try:
        return os.environ[variable]
    except KeyError:
        raise NotTold(f"the environment variable {variable} is not set") from None
