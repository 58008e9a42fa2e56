"""What waiting for a slow GCS answer costs: our gateway beside pipython's own socket.

A peer holds back every answer for a while, as a controller does that is busy; printed is the share of one core that
this process spends on the waiting. Beside it, the time of a prompt query.
"""

import argparse
import json
import multiprocessing
import socket
import statistics
import sys
import time
from typing import Any

from pipython import GCS2Device
from pipython.pidevice.interfaces.pisocket import PISocket

from devices.gcs_gateway import GcsGateway

PROMPT_QUERIES = 2000
MILLISECOND = 1000.0
TARGET_SHARE = 0.05


def answer_late(listening: socket.socket, delay_s: float) -> None:
    """Answer `*IDN?` after `delay_s` and everything else at once, to one connection after the other."""
    while True:
        connection, _ = listening.accept()
        with connection, connection.makefile("rb") as lines:
            for line in lines:
                if line.startswith(b"*IDN?"):
                    time.sleep(delay_s)
                connection.sendall(b"0\n")


def measure(gateway: Any, delay_s: float) -> dict[str, float]:
    """Ask once for something late and often for something prompt."""
    gateway.settimeout(2 * delay_s * MILLISECOND)
    device = GCS2Device(gateway=gateway)
    device.errcheck = False
    wall, cpu = time.perf_counter(), time.process_time()
    device.qIDN()
    share = (time.process_time() - cpu) / (time.perf_counter() - wall)
    times = []
    for _ in range(PROMPT_QUERIES):
        began = time.perf_counter()
        device.qERR()
        times.append(time.perf_counter() - began)
    gateway.close()
    return {"cpu_share_waiting": share, "query_p50_us": statistics.median(times) * 1e6}


def compare(delay_s: float) -> dict[str, Any]:
    """Measure both gateways against the same peer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()[:2]
        peer = multiprocessing.get_context("fork").Process(target=answer_late, args=(listening, delay_s), daemon=True)
        peer.start()
        try:
            ours = measure(GcsGateway("benchmark", host, port), delay_s)
            theirs = measure(PISocket(host, port), delay_s)
        finally:
            peer.terminate()
            peer.join()
    return {
        "wait_s": delay_s,
        "ours": ours,
        "pipython": theirs,
        "cpu_ratio": theirs["cpu_share_waiting"] / ours["cpu_share_waiting"],
        "target_share": TARGET_SHARE,
        "met": ours["cpu_share_waiting"] < TARGET_SHARE,
    }


def main() -> int:
    """Print the comparison; exit code 1 if ours misses its target."""
    parser = argparse.ArgumentParser(description="CPU share of waiting for a GCS answer.")
    parser.add_argument("--wait-s", type=float, default=2.0, help="how long the answer is held back (default 2)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    if options.wait_s <= 0:
        parser.error(f"--wait-s: {options.wait_s} is not above 0")
    result = compare(options.wait_s)
    if options.json:
        print(json.dumps(result))
    else:
        for name in ("ours", "pipython"):
            share, p50_us = result[name]["cpu_share_waiting"], result[name]["query_p50_us"]
            print(f"{name:9} {share:8.3%} of a core while waiting, prompt query {p50_us:6.1f} us (p50)")
        print(f"ratio     {result['cpu_ratio']:8.0f}")
    return 0 if result["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
