"""Pages of others in a browser on this machine: they reach what serves it, and must not where no token is asked for."""

import ipaddress
from http import HTTPStatus
from urllib.parse import SplitResult, urlsplit

from api.access.asked import Asked
from api.access.refused import Refused


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own, for nobody else to reach."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_other_names(asked: Asked) -> None:
    """A name that somebody else has pointed at 127.0.0.1 lets his page pass as one of ours (DNS rebinding).

    Raises:
        Refused
    """
    if not is_loopback(_parts(f"//{asked.host}").hostname or ""):
        raise Refused(
            HTTPStatus.FORBIDDEN,
            f"Host: {asked.host}: should be 127.0.0.1, [::1] or localhost; under other names only with a token",
        )


def refuse_other_origins(asked: Asked) -> None:
    """A browser sends a command of any page, and says from where; it only withholds the answer.

    Raises:
        Refused
    """
    if asked.origin is not None and _parts(asked.origin).netloc.lower() != asked.host.lower():
        raise Refused(HTTPStatus.FORBIDDEN, f"Origin: {asked.origin}: pages from elsewhere only with a token")


def _parts(url: str) -> SplitResult:
    """What cannot be taken apart, as `http://[`, has none."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")
