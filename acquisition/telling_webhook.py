"""Telling by webhook: one POST of JSON. Its `text` is what chat services show."""

import base64
import json
import os
from http.client import HTTPException, responses
from ssl import SSLCertVerificationError, SSLError
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request

from acquisition.telling_message import Message
from acquisition.web import opener
from devices.telling_settings import Webhook
from devices.web_address import wrong_with_address

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
    if wrong := wrong_with_address(url):
        raise NotTold(f"the address in {settings.url_env} {wrong}" if settings.url_env else f"url {wrong}")
    try:
        request = Request(url, json.dumps(body(message)).encode(), {"Content-Type": "application/json"} | headers)
        with opener(TIMEOUT_S, _NoRedirect()).open(request) as answer:
            answer.read(1)
    except OSError as error:
        raise NotTold(in_words(error)) from None
    except HTTPException:  # what arrived may hold anything
        raise NotTold("what the server answers is no HTTP") from None
    except (ValueError, ArithmeticError):  # their own words would quote a header
        raise NotTold("the address or a header is malformed") from None


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


def in_words(error: OSError) -> str:
    """What stood in the way, without the names and numbers of Python; quotes neither the address nor the other end."""
    match error:
        case HTTPError(code=code):
            return f"HTTP Error {code}: {responses.get(code, 'unknown')}"
        case URLError(reason=OSError() as cause):
            return in_words(cause)
        case URLError():
            return "the address cannot be used"
        case SSLCertVerificationError(verify_message=said):
            return (
                f"the server's certificate does not hold: {said.partition(',')[0]}"  # then follows whose it should be
            )
        case SSLError(reason=str() as said):
            return f"no encryption: {said.lower().replace('_', ' ')}"
        case ConnectionResetError():
            return "the connection was cut"
    return error.strerror or ("timed out" if isinstance(error, TimeoutError) else type(error).__name__)


def secret(variable: str) -> str:
    """A value from the environment.

    Raises:
        NotTold: it is not set.
    """
    try:
        return os.environ[variable]
    except KeyError:
        raise NotTold(f"the environment variable {variable} is not set") from None
