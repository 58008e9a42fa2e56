"""What the worker does not use any more goes back to the system."""

import subprocess
import sys
from pathlib import Path

import pytest

HOLES = """
import sys
import numpy as np
from pathlib import Path
from api.heap import settle_heap

def anonymous_mb():
    return int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]) / 1000

settle_heap(int(sys.argv[1]))
np.ones(16 * 2**20, np.uint8)  # once an array like this one is given back, the library asks the system no more for it
before_mb = anonymous_mb()
kept = []
for _ in range(100):
    large = np.ones(2**20, np.uint8)
    kept.append(np.ones(60_000, np.uint8))  # lies behind the large one, and remains
    del large
    large = [np.ones(2**20, np.uint8) for _ in range(2)]
    kept.append(np.ones(60_000, np.uint8))
    del large
print(anonymous_mb() - before_mb - len(kept) * 0.06)
"""

AMONG_KEPT = """
from pathlib import Path
from api.heap import give_back, settle_heap

def anonymous_mb():
    return int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]) / 1000

settle_heap(30_000)
before_mb = anonymous_mb()
things = [bytes(60_000) for _ in range(300)]
kept = things[::60]
del things
give_back(30_000)
print(anonymous_mb() - before_mb - len(kept) * 0.06)
"""


def left_mb(script: str, *arguments: str) -> float:
    command = [sys.executable, "-c", script, *arguments]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells memory as Linux does")
def test_arrays_leave_no_holes_among_what_is_kept() -> None:
    assert left_mb(HOLES, "30000") < 1.0  # 2 MB as the library is by itself


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells memory as Linux does")
def test_what_is_free_among_small_things_that_are_kept_goes_back() -> None:
    assert left_mb(AMONG_KEPT) < 1.5  # 18 MB of them came and went
