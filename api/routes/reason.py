"""Why somebody stops everything, as far as it can be read: what he says keeps no stop from being carried out."""

import json
from typing import Any

LONGEST = 200  # characters
DESCRIBED: dict[str, Any] = {
    "requestBody": {
        "description": "`reason`, a text of up to 200 characters. Anything else is not read, and stops as well.",
        "required": False,
        "content": {"application/json": {"schema": {}, "example": {"reason": "a hair on the specimen"}}},
    }
}


def reason_in(body: bytes) -> str:
    """The `reason` in a JSON body, in one line; empty if there is none."""
    try:
        said = json.loads(body).get("reason")
    except (ValueError, AttributeError, RecursionError):
        return ""
    printable = "".join(each if each.isprintable() else " " for each in said) if isinstance(said, str) else ""
    return " ".join(printable.split())[:LONGEST]
