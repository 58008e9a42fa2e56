"""Roles, each of which may do what the one before may, and what each request needs."""

from dataclasses import dataclass
from enum import StrEnum

API = "/api/v1"
PAGE = "/ui"
LOGIN = f"{PAGE}/login"
LOGOUT = f"{PAGE}/logout"
READING = ("GET", "HEAD", "OPTIONS")


class Role(StrEnum):
    VIEW = "view"
    OPERATE = "operate"
    ADMIN = "admin"

    def includes(self, needed: "Role") -> bool:
        """Whether whoever has this role may do what `needed` may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True)
class Rule:
    """What a request needs."""

    role: Role | None
    """None: anybody may."""
    is_command: bool
    """It moves or changes something, so it is logged, and rarely asked for."""
    needs_control: bool
    """Not while somebody else holds the lease."""
    is_limited: bool = True
    takes_long: bool = False
    """However little is asked, so it waits for its turn."""
    waits_for_body: bool = True
    """Else it is carried out whatever becomes of its body."""


OPEN = Rule(None, is_command=False, needs_control=False)
VIEWING = Rule(Role.VIEW, is_command=False, needs_control=False)
PREVIEWING = Rule(Role.VIEW, is_command=False, needs_control=False, takes_long=True)
OPERATING = Rule(Role.OPERATE, is_command=True, needs_control=True)
LEASING = Rule(Role.OPERATE, is_command=True, needs_control=False)
STOPPING = Rule(Role.OPERATE, is_command=True, needs_control=False, is_limited=False, waits_for_body=False)

EXCEPTIONS = {
    ("GET", "/healthz"): OPEN,
    ("GET", LOGIN): OPEN,
    ("POST", LOGIN): OPEN,
    ("POST", LOGOUT): OPEN,
    ("POST", f"{API}/plans/preview"): PREVIEWING,
    ("POST", f"{API}/stop"): STOPPING,
    ("POST", f"{API}/lease"): LEASING,
    ("DELETE", f"{API}/lease"): LEASING,
}


def rule_for(method: str, path: str) -> Rule:
    """What a request needs; whatever is not listed needs a viewer if it reads, else an operator in control.

    The page itself only shows: its scripts command by the routes of the API.
    """
    reads = method in READING or is_of_page(path)
    return EXCEPTIONS.get((method, path)) or (VIEWING if reads else OPERATING)


def is_of_page(path: str) -> bool:
    """Whether a path belongs to the page for people."""
    return path == PAGE or path.startswith(f"{PAGE}/")
