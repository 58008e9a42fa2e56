"""Addresses of web servers, as rig files and environment variables give them."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from devices.model import HIDDEN


def wrong_with_address(url: str) -> str:
    """What is wrong with an address, without quoting any of it; empty if nothing."""
    if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        return "should have no blanks, control characters or letters beyond ASCII; write them as %20 and the like"
    try:
        parts = urlsplit(url)
    except ValueError:
        return "should be http://HOST... or https://HOST..., an IPv6 address in []"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "should be http://HOST... or https://HOST..."
    if "@" in parts.netloc:
        return "should not hold a password; use url_env or headers_env"
    try:
        parts.hostname.encode("idna")
    except UnicodeError:
        return "should name a host, no part of whose name is empty or longer than 63 characters"
    try:
        return "" if parts.port != 0 else "should have a port of 1..65535"
    except ValueError:
        return "should have a port of 1..65535, or none"


def _of_a_web_server(url: str) -> str:
    if wrong := wrong_with_address(url):
        if "@" in url:  # a password may stand before it
            raise PydanticCustomError(HIDDEN, "{wrong}", {"wrong": wrong})
        raise ValueError(wrong)
    return url


Url = Annotated[str, AfterValidator(_of_a_web_server)]
