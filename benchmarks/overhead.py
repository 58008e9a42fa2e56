"""What a tile costs above physics, by the world's own clock: alone, with people looking on, and beside a peer.

    python -m benchmarks.overhead [--side-um 90] [--exposure-ms 10] [--clients 10] [--json]
    chrt --rr 1 python -m benchmarks.overhead     # on a machine that others use meanwhile

Physics is what the stage needs to come on target, from the equation of its loop, and what the camera needs from the
opening of its first line until the closing of its last, half a frame's line times after the exposure (the sensor is
read from both edges). The overhead is what is left of the time from one exposure to the next: commands, polling, the
frame's way, storing, and the Python between. Tiles of all kinds count, also the first of each row.

The same plan is taken once more by `nanoraster serve`, with clients that poll its status all the while. The peer is
pymmcore-plus's runner with the same camera, a frame an event: it moves nothing, checks nothing and stores nothing.
The floor is what the same wires cost when nothing is done but to send a move, to ask until the axis is on target, and
to wait for a frame: sockets without a driver, no check, no store, no second thread.
"""

import argparse
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymmcore_plus.mda import MDAEngine
from useq import MDAEvent

from acquisition.instructions import Instructions
from acquisition.plan import Plan
from acquisition.run_store import RunStore
from api.scan import Watcher, scan
from api.twin import Twin, running_twin
from devices.mm_core import Core
from devices.rig import RigSettings
from devices.settings import MmCoreSettings, PiGcsSettings
from hardware_sim.approach import Approach
from hardware_sim.frame_client import FrameClient
from hardware_sim.frame_protocol import Expose, Setup
from hardware_sim.sensor import Region
from hardware_sim.settings import WorldSettings, load_world
from hardware_sim.shutter import Timing, line_numbers

P50_MS, P99_MS = 2.0, 8.0
POLL_EVERY_S = 0.1
"""Of each client: a page that shows a run needs no more."""
PEER_EVENTS = 200
FLOOR_MOVES, FLOOR_FROM_UM, FLOOR_STEP_UM = 120, 20.0, 9.0
HTTP_S, JOB_S = 10.0, 300.0

Overheads = NDArray[np.float64]


def main() -> int:
    """Print the figures; exit code 1 if one misses its target."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead")
    parser.add_argument("--side-um", type=float, default=90.0)
    parser.add_argument("--exposure-ms", type=float, default=10.0)
    parser.add_argument("--world", default="lab")
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    region = (5.0, 5.0 + options.side_um)
    plan = {"region": {"x_um": region, "y_um": region}, "camera": {"exposure_ms": options.exposure_ms}}
    world, exposure_s = load_world(options.world), options.exposure_ms / 1000.0
    polls_per_s = 0.0
    with running_twin(["--world", options.world]) as twin, tempfile.TemporaryDirectory() as folder:
        rows = {"alone": facts_of(above_physics_ms(twin, world, scanned(twin, plan, Path(folder) / "run")))}
        if options.clients:
            run, polls_per_s = served(twin, plan, Path(folder) / "service", options.clients)
            rows[f"{options.clients} clients"] = facts_of(above_physics_ms(twin, world, run))
        peer = facts_of(peer_above_exposure_ms(twin, world, exposure_s))
        floor = facts_of(floor_above_physics_ms(twin, world, exposure_s))
    met = all(row["p50_ms"] <= P50_MS and row["p99_ms"] <= P99_MS for row in rows.values())
    readout_ms = 1e3 * timing(world, exposure_s).readout_s
    if options.json:
        print(
            json.dumps(
                {**rows, "peer": peer, "floor": floor, "polls_per_s": polls_per_s, "readout_ms": readout_ms, "met": met}
            )
        )
        return 0 if met else 1
    print(f"above physics, in ms         p50    p99  longest  (at most {P50_MS:g} and {P99_MS:g})")
    for name, row in {**rows, "pymmcore-plus, no stage": peer, "bare wires": floor}.items():
        print(f"{name:24} {row['p50_ms']:7.2f} {row['p99_ms']:6.2f} {row['longest_ms']:8.2f}  {row['tiles']:.0f} tiles")
    print(f"from the closing of the last line; from the exposure's end_s it is {readout_ms:.2f} ms more")
    if options.clients:
        print(f"{options.clients} clients got {polls_per_s:.0f} answers a second")
    return 0 if met else 1


def facts_of(found_ms: Overheads) -> dict[str, float]:
    """Sum up."""
    p50, p99 = (float(np.percentile(found_ms, percent)) for percent in (50, 99))
    return {"tiles": len(found_ms), "p50_ms": p50, "p99_ms": p99, "longest_ms": float(found_ms.max())}


def scanned(twin: Twin, plan: dict[str, Any], run: Path) -> Path:
    """Take a plan at real speed; the run."""
    scan(Plan.model_validate(plan), RigSettings.load(twin.rig), run, Instructions(attended=False), Watcher())
    return run


def served(twin: Twin, plan: dict[str, Any], folder: Path, clients: int) -> tuple[Path, float]:
    """Have the service take a plan while clients poll its status; the run, and how many answers a second they got."""
    command = [str(Path(sys.executable).with_name("nanoraster")), "serve", "--rig", str(twin.rig), "--data"]
    command += [str(folder), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            api = json.loads(process.stdout.readline())["url"] + "/api/v1"
            job, began = _ask(f"{api}/jobs", {"plan": plan})["id"], time.monotonic()
            with polling(f"{api}/status", clients) as answers:
                while (state := _ask(f"{api}/jobs/{job}"))["state"] != "done":
                    if time.monotonic() - began > JOB_S:
                        raise TimeoutError(f"the job is not done after {JOB_S:g} s")
                    time.sleep(POLL_EVERY_S)
            return folder / "runs" / state["run"], sum(answers) / (time.monotonic() - began)
        finally:
            process.terminate()


@contextmanager
def polling(url: str, clients: int) -> Iterator[list[int]]:
    """Ask again and again from so many threads; yields how many answers each got so far."""
    over, answers = threading.Event(), [0] * clients

    def poll(client: int) -> None:
        while not over.wait(POLL_EVERY_S):
            _ask(url)
            answers[client] += 1

    threads = [threading.Thread(target=poll, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _ask(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=HTTP_S) as answer:
        return json.load(answer)


def above_physics_ms(twin: Twin, world: WorldSettings, run: Path) -> Overheads:
    """The overhead between each two tiles of a run."""
    start_s = {exposure["number"]: exposure["start_s"] for exposure in twin.world.exposures()}
    with closing(RunStore(run)) as store:
        taken = [attempt for _, attempt in store.journal.attempts() if attempt.frame is not None]
        assert store.field.shape_px == tuple(world.camera.frame_shape_px), "part of the sensor is read in less time"
    overheads_ms = []
    for before, after in pairwise(taken):
        left_s, right_s = (start_s[tile.camera_frame or 0] for tile in (before, after))
        ways_um = after.target_x_um - before.target_x_um, after.target_y_um - before.target_y_um
        physics_s = timing(world, before.exposure_s).lasts_s + max(on_target_s(world, way_um) for way_um in ways_um)
        overheads_ms.append(1e3 * (right_s - left_s - physics_s))
    return np.array(overheads_ms)


def timing(world: WorldSettings, exposure_s: float) -> Timing:
    """When the lines of a whole frame are exposed."""
    rows, columns = world.camera.frame_shape_px
    return Timing(exposure_s, world.camera.line_time_us / 1e6, line_numbers(Region(0, 0, columns, rows), rows))


def on_target_s(world: WorldSettings, way_um: float) -> float:
    """How long the closed loop takes until the controller calls it on target."""
    stage = world.mechanics
    approach = Approach(0.0, 0.0, way_um, stage.slew_um_per_s, stage.time_constant_xy_s, stage.tolerance_nm / 1000)
    return approach.on_target_s(stage.settle_s)


def peer_above_exposure_ms(twin: Twin, world: WorldSettings, exposure_s: float) -> Overheads:
    """What pymmcore-plus's runner needs from one exposure to the next, without sequences: so tiles are taken."""
    before = len(twin.world.exposures())
    camera = RigSettings.load(twin.rig).devices.camera
    assert isinstance(camera, MmCoreSettings)
    core = Core(camera.buffer_mb)
    core.load(camera.cfg)
    engine = MDAEngine(core, use_hardware_sequencing=False)
    core.register_mda_engine(engine)
    core.mda.run([MDAEvent(exposure=1000.0 * exposure_s) for _ in range(PEER_EVENTS)])
    core.unloadAllDevices()
    starts_s = [exposure["start_s"] for exposure in twin.world.exposures()[before:]]
    return 1e3 * (np.diff(starts_s) - timing(world, exposure_s).lasts_s)


def floor_above_physics_ms(twin: Twin, world: WorldSettings, exposure_s: float) -> Overheads:
    """What the wires alone cost from one exposure to the next, with the move between two tiles."""
    scanner = RigSettings.load(twin.rig).devices.scanner
    camera = RigSettings.load(twin.rig).devices.camera
    assert isinstance(scanner, PiGcsSettings)
    assert isinstance(camera, MmCoreSettings)
    (address,) = re.findall(r"Address,(\S+)", Path(camera.cfg).read_text())
    before, frames, setup = len(twin.world.exposures()), FrameClient(), Setup(exposure_s=exposure_s)
    pixels = np.empty(world.camera.frame_shape_px, np.uint16)
    with socket.create_connection((scanner.host, scanner.port)) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answers = wire.makefile("rb")
        for place_um in np.tile([FLOOR_FROM_UM, FLOOR_FROM_UM + FLOOR_STEP_UM], FLOOR_MOVES // 2):
            wire.sendall(f"MOV 1 {place_um:.12g}\nERR?\n".encode())
            answers.readline()
            on_target = b""
            while on_target != b"1=1\n":
                wire.sendall(b"ONT? 1\n")
                on_target = answers.readline()
            frames.request(address, Expose(frames=1, setup=setup), HTTP_S)
            frames.receive(pixels, HTTP_S)
    frames.hang_up()
    starts_s = [exposure["start_s"] for exposure in twin.world.exposures()[before:]]
    physics_s = timing(world, exposure_s).lasts_s + on_target_s(world, FLOOR_STEP_UM)
    return 1e3 * (np.diff(starts_s) - physics_s)


if __name__ == "__main__":
    sys.exit(main())
