"""Where a device is reached: two spellings of one address have a name in common."""

import ipaddress
import os
import socket
from contextlib import suppress
from urllib.parse import urlsplit

from devices.settings import DriverSettings

THIS_MACHINE = "this machine"
NETWORK = ("socket", "rfc2217")  # of pyserial's URLs
ANY_PORT = 9  # nothing is sent there


def names_of(device: DriverSettings) -> set[str]:
    """Every name of the device's address; that of its driver if it has none.

    A host goes by its name and by each address that the name resolves to, a serial line by the device file that its
    links lead to.
    """
    host, port, url = (getattr(device, key, None) for key in ("host", "port", "url"))
    if isinstance(host, str):
        return _of_host(host, port)
    line = url if isinstance(url, str) else port
    return _of_line(line) if isinstance(line, str) else {f"driver {device.driver}"}


def _of_host(host: str, port: object) -> set[str]:
    name = host.strip().rstrip(".").lower()
    return {f"{spelling}:{port}" for spelling in {name, *_resolved(name)}}


def _of_line(url: str) -> set[str]:
    scheme, _, rest = url.rpartition("://")
    if scheme in NETWORK:
        with suppress(ValueError):
            parts = urlsplit(url)
            return _of_host(parts.hostname or "", parts.port)
    path = rest.partition("?")[0]
    return {os.path.realpath(path)} if os.path.isabs(path) else {url}


def _resolved(host: str) -> set[str]:
    """Addresses in their one way to write them; those of this machine have one name. Empty while nobody knows it."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return set()
    return {_canonical(str(address[0])) for _, _, _, _, address in found}


def _canonical(address: str) -> str:
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return THIS_MACHINE if ip.is_loopback or ip.is_unspecified or _is_own(ip) else str(ip)


def _is_own(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether the way there is the way to ourselves: then it begins where it ends."""
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as way, suppress(OSError):
        way.connect((str(ip), ANY_PORT))
        return bool(way.getsockname()[0] == str(ip))
    return False
