"""Sizes small enough for tests."""

from typing import Any

_RRDB: dict[str, Any] = {"width": 16, "growth": 8, "blocks": 1}
_NAFNET: dict[str, Any] = {"width": 8, "down": [1, 1], "middle": 1, "up": [1, 1]}

SMALL: dict[str, dict[str, Any]] = {
    "rrdb_full": _RRDB,
    "rrdb_u2": _RRDB,
    "rrdb_u4": _RRDB,
    "nafnet_16": _NAFNET,
    "nafnet_32": _NAFNET | {"width": 16},
    "preview": {"width": 16, "levels": 2},
}
