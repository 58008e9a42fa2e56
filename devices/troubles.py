"""Troubles with devices that were overcome: told as they happen, so that a night's journal can leave nothing out.

Whoever asks a second time, or goes on without an answer, tells so here. Each is a log record below the level that shows
by itself; it carries the error, and nothing is kept where nobody listens.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from devices.errors import DeviceError

TROUBLES = logging.getLogger("nanoraster.troubles")
TROUBLES.setLevel(logging.INFO)


def overcome(error: DeviceError) -> None:
    """Tell of an error that nobody else will hear of."""
    TROUBLES.info("%s", error, extra={"error": error})


@contextmanager
def overcoming(*kinds: type[DeviceError]) -> Iterator[None]:
    """Go on after errors of these kinds in the block, and tell of them."""
    try:
        yield
    except kinds as error:
        overcome(error)
