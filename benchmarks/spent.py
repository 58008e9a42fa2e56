"""Run a command and say what it spent: time on the wall, of all cores together, and memory at its peak.

    python benchmarks/spent.py OUT.json COMMAND...

A small process of its own, because a child's peak counts that of whoever started it. Linux.
"""

import json
import os
import resource
import subprocess
import sys
import time


def main() -> int:
    """Run it; its exit code."""
    began = time.perf_counter()
    code = subprocess.run(sys.argv[2:], check=False, stdin=subprocess.DEVNULL).returncode
    wall_s = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        spent = {"wall_s": wall_s, "cpu_s": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss * 1024 / 1e6}
        json.dump(spent, file)
    return code


if __name__ == "__main__":
    os._exit(main())
