"""How many frames a second the twin delivers, and what it costs while nobody asks (Linux).

The twin runs as a process of its own, its world so fast that exposures take no time; frames are fetched through the
Micro-Manager device, as a driver does. Beside each rate stands that of the sensor itself, which its line time sets.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hardware_sim.mm_camera import TwinCamera

SHAPES_PX = ((512, 512), (2160, 2560))
TARGETS_PER_S = {(512, 512): 200.0, (2160, 2560): 15.0}
TARGET_IDLE = 0.05
EXPOSURE_MS = 10.0
"""300 electrons in a white pixel: all but the darkest parts get their noise from the normal distribution."""
LINE_TIME_US = 9.17
FAST = "1000"


@contextmanager
def twin(shape_px: tuple[int, int], speed: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a twin with such a camera; yields its process and the address of its frames."""
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "world.toml"
        world.write_text(f"[camera]\nframe_shape_px = {list(shape_px)}\n")
        command = [sys.executable, "-m", "hardware_sim", "--world", str(world), "--speed", speed]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            cfg = Path(ready["camera"]["cfg"]).read_text()
            with socket.create_connection((ready["scanner"]["host"], ready["scanner"]["port"])) as scanner:
                scanner.sendall(b"MOV 1 50 2 50\nONT? 1 2\n")  # over the middle of the specimen
                scanner.recv(100)
            yield process, next(line for line in cfg.splitlines() if ",Address," in line).rpartition(",")[2]
        finally:
            process.terminate()
            process.wait()


def frames_per_s(shape_px: tuple[int, int], for_s: float) -> float:
    """Fetch frames for so long, into one buffer after the other."""
    buffers = [np.empty(shape_px, np.uint16) for _ in range(4)]

    def next_buffer(shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        buffers.append(buffers.pop(0))
        return buffers[-1]

    with twin(shape_px, FAST) as (_, address):
        camera = TwinCamera()
        camera.set_property_value("Address", address)
        camera.initialize()
        camera.set_exposure(EXPOSURE_MS)
        sequence = camera.start_sequence(None, next_buffer)
        next(sequence)  # tables are cold
        began_s, count = time.perf_counter(), 0
        while time.perf_counter() - began_s < for_s:
            next(sequence)
            count += 1
        rate = count / (time.perf_counter() - began_s)
        sequence.close()
        camera.shutdown()
    return rate


def idle_share(for_s: float) -> float:
    """Part of a core that a twin takes while nobody asks it anything."""
    with twin(SHAPES_PX[0], "1") as (process, _):
        time.sleep(1.0)  # what starting leaves behind
        before_s = cpu_s(process.pid)
        time.sleep(for_s)
        return (cpu_s(process.pid) - before_s) / for_s


def cpu_s(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(for_s: float) -> dict[str, Any]:
    """Measure all, beside the targets."""
    rates = []
    for shape_px in SHAPES_PX:
        rate, sensor = frames_per_s(shape_px, for_s), 2e6 / (LINE_TIME_US * shape_px[0])
        target = TARGETS_PER_S[shape_px]
        rates.append({"shape_px": shape_px, "per_s": rate, "target_per_s": target, "ratio_to_sensor": rate / sensor})
    idle = idle_share(for_s)
    met = all(rate["per_s"] >= rate["target_per_s"] for rate in rates) and idle < TARGET_IDLE
    return {"rates": rates, "idle_share": idle, "target_idle_share": TARGET_IDLE, "met": met}


def main() -> int:
    """Print the figures; exit code 1 if one misses its target."""
    parser = argparse.ArgumentParser(description="Frame rates of the twin, and its share of a core when idle.")
    parser.add_argument("--for-s", type=float, default=5.0, help="how long each is measured (default 5)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    if options.for_s <= 0:
        parser.error(f"--for-s: {options.for_s} is not above 0")
    result = measure(options.for_s)
    if options.json:
        print(json.dumps(result))
    else:
        for rate in result["rates"]:
            rows, columns = rate["shape_px"]
            print(
                f"{columns:4} x {rows:4} {rate['per_s']:7.1f} frames/s, {rate['ratio_to_sensor']:5.2f} of the sensor's "
                f"(at least {rate['target_per_s']:g} frames/s)"
            )
        print(f"idle        {result['idle_share']:8.3%} of a core (less than {TARGET_IDLE:.0%})")
    return 0 if result["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
