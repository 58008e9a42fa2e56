"""How many threads share the work on a mosaic."""

import os

MOST = 8


def threads() -> int:
    """Give one for each core that this process may use, `MOST` at most."""
    return min(len(os.sched_getaffinity(0)), MOST)
