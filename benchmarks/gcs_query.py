"""What a position query costs through our driver, beside raw pipython and a plain socket, against one running twin.

All ask POS? of the same controller in turn, in short rounds, so that a busy moment of the machine hits them alike.
"""

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from pipython import GCS2Device
from pipython.pidevice.interfaces.pisocket import PISocket

from devices.scanner_pi import PiScanner
from devices.settings import PiGcsSettings

ROUND = 100
TARGET_P50_US = 200.0
START_S = 60.0
AXES = {"x": "1", "y": "2", "z": "3"}


def measure(asks: dict[str, Callable[[], object]], rounds: int) -> dict[str, dict[str, float]]:
    """Time every way of asking, round by round."""
    times_us: dict[str, list[float]] = {name: [] for name in asks}
    for _ in range(rounds):
        for name, ask in asks.items():
            for _ in range(ROUND):
                began = time.perf_counter()
                ask()
                times_us[name].append((time.perf_counter() - began) * 1e6)
    return {
        name: {"p50_us": statistics.median(times), "p95_us": statistics.quantiles(times, n=20)[-1]}
        for name, times in times_us.items()
    }


def compare(host: str, port: int, rounds: int) -> dict[str, Any]:
    """Ask the controller at this address in three ways."""
    with (
        closing(PiScanner("benchmark", PiGcsSettings(host=host, port=port, axes=AXES))) as ours,
        PISocket(host, port) as gateway,
        socket.create_connection((host, port)) as plain,
    ):
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        theirs = GCS2Device(gateway=gateway)

        def ask_plainly() -> None:
            plain.sendall(b"POS?\n")
            answer = b""
            while not answer.endswith(b"\n") or answer.endswith(b" \n"):
                answer += plain.recv(4096)

        asks = {"ours": ours.read_position_um, "pipython": theirs.qPOS, "plain socket": ask_plainly}
        result = measure(asks, rounds)
    ours_us = result["ours"]["p50_us"]
    ratios = {name: ours_us / row["p50_us"] for name, row in result.items() if name != "ours"}
    return result | {"ratios": ratios, "target_p50_us": TARGET_P50_US, "met": ours_us <= TARGET_P50_US}


def with_twin(rounds: int) -> dict[str, Any]:
    """Start a twin, compare, and end it."""
    with tempfile.TemporaryDirectory() as folder:
        ready_file = Path(folder) / "ready.json"
        twin = subprocess.Popen(
            [sys.executable, "-m", "hardware_sim", "--world", "still", "--ready-file", str(ready_file)]
        )
        try:
            deadline = time.monotonic() + START_S
            while not ready_file.exists():
                if twin.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("the twin did not get ready")
                time.sleep(0.05)
            scanner = json.loads(ready_file.read_text())["scanner"]
            return compare(scanner["host"], scanner["port"], rounds)
        finally:
            twin.terminate()
            twin.wait()


def main() -> int:
    """Print the comparison; exit code 1 if ours misses its target."""
    parser = argparse.ArgumentParser(description="Time of a GCS query on loopback.")
    parser.add_argument("--rounds", type=int, default=30, help=f"rounds of {ROUND} queries each (default 30)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error(f"--rounds: {options.rounds} is not above 0")
    result = with_twin(options.rounds)
    if options.json:
        print(json.dumps(result))
    else:
        for name in ("ours", "pipython", "plain socket"):
            ratio = f"   ours is {result['ratios'][name]:.2f} of it" if name != "ours" else ""
            print(f"{name:13} {result[name]['p50_us']:7.1f} us (p50) {result[name]['p95_us']:7.1f} us (p95){ratio}")
    return 0 if result["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
