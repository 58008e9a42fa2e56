"""A thousand random faults on a scripted session: `python -m benchmarks.fault_storm [--faults 1000] [--seed 1]`.

Each round arms one fault for one of the next operations of a device, lets its driver do something, and looks at what
came of it: nothing may hang, no value may be taken for right that the world says is wrong, and every error must be one
of those that `devices/errors.py` documents, within the deadline of the call. After each fault the driver has to work
again, on the connection it has or on a new one. Prints what became of which fault, and exits 1 if a rule was broken.
"""

import argparse
import json
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from devices.errors import (
    DeviceError,
    DeviceLost,
    DeviceRejected,
    DeviceTimeout,
    FrameBlack,
    FrameRepeated,
    FramesLost,
    ProtocolError,
    Saturated,
    Stale,
)
from devices.rig import open_device
from devices.rig_file import RigSettings
from devices.settings import DriverSettings, Esp301Settings, PiGcsSettings, XpsSettings
from hardware_sim.fault_kinds import known

WORLD = "[cantilever]\nrides_on_focus = false\n"
"""The focus drive travels for millimetres here; the probe had better stay behind."""
ANSWER_S = 0.15
LATE_S = 0.3
"""Twice what the drivers wait."""
CALL_S = 1.5
"""Longest a query may take: four answers (silence, its reason, a handshake, the line's quiet), on a busy machine."""
MOVE_S = 6.0
"""A move over 80 um or some millimetres, with settling and an answer or two that stay away."""
FRAME_S = 4.0
"""Three frames, `readout_s` and `first_frame_s` of 1 s each."""
WAITING = 3
"""So many of the latest faults may strike now: one of a wire waits there for the next answer, and a device has two."""
BRAKING_S = {"scanner": 0.05, "focus": 0.4}
RECOVERIES = 8
SCANNER_UM, FOCUS_UM, AT_REST_NN = 0.01, 2.0, 20.0
"""How far a reading may be from the truth: sensor noise of 0.4 nm, encoder steps and play, detector noise and drift."""
SILENT, LOST, NONSENSE, REFUSED = {DeviceTimeout}, {DeviceLost}, {ProtocolError, DeviceTimeout}, {DeviceRejected}
EXPECTED: dict[str, set[type[DeviceError]]] = {
    "silence": SILENT,
    "late_answer": SILENT,
    "garbage": NONSENSE,
    "partial_line": NONSENSE,
    "closed_socket": LOST,
    "controller_error": REFUSED,
    "controller_busy": REFUSED,
    "following_error": REFUSED,
    "stuck_axis": {DeviceTimeout, DeviceRejected},
    "drift_burst": set(),
    "force_runaway": set(),
    "overload": {Saturated},
    "frozen_reading": {Stale},
    "lost_frame": {DeviceTimeout, FramesLost},
    "frozen_frame": {FrameRepeated},
    "black_frame": {FrameBlack},
    "buffer_overrun": {FramesLost},
}
"""What may come of the act that a fault befell, if not a right result."""
ON_FRAMES: dict[str, set[type[DeviceError]]] = {
    "silence": {DeviceTimeout, FramesLost},
    "garbage": {ProtocolError, DeviceLost, FramesLost},
    "partial_line": {DeviceTimeout, DeviceLost, FramesLost},
}
"""The same for the wire that carries frames, where one message of many may be struck."""


@dataclass
class World:
    """The twin, asked over HTTP."""

    ready: dict[str, Any]

    def truth(self) -> dict[str, Any]:
        """What is really the case."""
        with urllib.request.urlopen(self.ready["world"]["url"] + "/truth", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def injected(self, device: str) -> list[str]:
        """Names of the faults that have befallen an operation of a device, oldest first."""
        with urllib.request.urlopen(self.ready["world"]["url"] + "/faults", timeout=10) as answer:
            return [fault["name"] for fault in json.load(answer) if fault["device"] == device]

    def arm(self, fault: Mapping[str, Any]) -> None:
        """Arm one fault."""
        request = urllib.request.Request(self.ready["world"]["url"] + "/faults", json.dumps(fault).encode())
        with urllib.request.urlopen(request, timeout=10):
            pass


@dataclass
class Player:
    """One driver, and what it is asked to do; each act raises AssertionError if its result is not the truth."""

    name: str
    device: str
    driver: Any
    acts: dict[str, Callable[[], None]]
    limit_s: float


@dataclass
class Storm:
    """What became of the faults."""

    outcomes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    told: str = ""
    """By the latest error."""
    slowest: dict[str, float] = field(default_factory=dict)
    """Longest call of each player, as a part of what it may take."""


@contextmanager
def running_world(folder: Path) -> Iterator[World]:
    """Start a twin and end it on leaving."""
    ready, world = folder / "ready.json", folder / "world.toml"
    world.write_text(WORLD)
    command = [sys.executable, "-m", "hardware_sim", "--ready-file", str(ready), "--world", str(world)]
    command += ["--seed", "3", "--pixel-nm", "50"]
    process = subprocess.Popen(command)
    try:
        while not ready.exists():
            if process.poll() is not None:
                raise RuntimeError(f"the twin ended with code {process.returncode}")
            time.sleep(0.05)
        yield World(json.loads(ready.read_text()))
    finally:
        process.terminate()
        process.wait(10)


def players(world: World, opened: ExitStack) -> list[Player]:
    """Open every driver that meets the twin on a wire."""
    ready = world.ready
    rig = RigSettings.load(ready["rig"])
    quick = {"answer_s": ANSWER_S}
    e517, xps, travel = ready["scanner_e517"], ready["xps"], (0.0, 100_000.0)
    at_e517 = {"host": e517["host"], "port": e517["port"], "axes": {"x": "A", "y": "B", "z": "C"}}
    at_e517["start_up"] = ["online"]
    at_xps = {key: xps[key] for key in ("host", "port", "group", "positioner")}
    force = rig.devices.force
    assert force is not None
    settings: dict[str, tuple[str, DriverSettings]] = {
        "E-727": ("scanner", rig.devices.scanner.model_copy(update=quick)),
        "E-517": ("scanner", PiGcsSettings.model_validate(at_e517 | quick)),
        "ESP301": ("focus", Esp301Settings(url=ready["focus"]["url"], limits_um=travel, answer_s=ANSWER_S)),
        "ESP301 tty": ("focus", Esp301Settings(url=ready["focus"]["tty"], limits_um=travel, answer_s=ANSWER_S)),
        "XPS": ("focus", XpsSettings.model_validate(at_xps | {"limits_um": travel} | quick)),
        "SCPI": ("force", force.model_copy(update=quick)),
        "camera": ("camera", rig.devices.camera.model_copy(update={"readout_s": 1.0, "first_frame_s": 1.0})),
    }
    found = []
    for name, (device, chosen) in settings.items():
        driver = open_device(name, chosen)
        opened.callback(driver.close)
        acts, limit_s = _acts(world, device, driver)
        found.append(Player(name, device, driver, acts, limit_s))
    return found


def _acts(world: World, device: str, driver: Any) -> tuple[dict[str, Callable[[], None]], float]:
    if device in ("scanner", "focus"):
        return _positioner_acts(world, device, driver), MOVE_S
    if device == "force":
        return {"read": lambda: _read_force(driver)}, CALL_S
    return _camera_acts(driver), FRAME_S


def _positioner_acts(world: World, device: str, driver: Any) -> dict[str, Callable[[], None]]:
    dice = random.Random(device)

    def where() -> dict[str, float]:
        truth = world.truth()
        if device == "focus":
            return {"z": truth["focus_um"]}
        return dict(zip("xyz", truth["reported_um"], strict=True))

    tolerance_um = FOCUS_UM if device == "focus" else SCANNER_UM

    def read() -> None:
        before_um, told_um, after_um = where(), driver.read_position_um(), where()
        for axis, place_um in told_um.items():  # a move that an earlier fault left alone may still be going on
            low_um, high_um = sorted((before_um[axis], after_um[axis]))
            inside = low_um - tolerance_um <= place_um <= high_um + tolerance_um
            assert inside, f"{axis} is said to be at {place_um} um, was at {low_um}..{high_um} um"

    def move() -> None:
        axis = dice.choice(driver.axes if device == "focus" else ("x", "y"))
        low_um, high_um = (49_000.0, 51_000.0) if device == "focus" else (10.0, 90.0)
        target_um = dice.uniform(low_um, high_um)
        driver.move_to({axis: target_um})
        reach_um = 5.5 if device == "focus" else 0.11  # the drivers' arrival tolerance
        assert abs(where()[axis] - target_um) <= reach_um, f"said to be at {target_um}, is at {where()[axis]}"
        read()

    def stop() -> None:
        """Stop on the way: whatever came of the answers, the stage stands soon after."""
        axis = driver.axes[0]
        low_um, high_um = (45_000.0, 55_000.0) if device == "focus" else (10.0, 90.0)
        here_um = where()[axis]
        try:
            driver.start_move({axis: high_um if here_um < (low_um + high_um) / 2 else low_um})
        finally:
            driver.stop()
        time.sleep(BRAKING_S[device])
        before_um = where()
        time.sleep(0.05)
        moved_um = max(abs(place_um - before_um[name]) for name, place_um in where().items())
        assert moved_um <= tolerance_um, f"goes on by {moved_um} um after a stop"
        read()

    return {"read": read, "move": move, "stop": stop}


def _read_force(driver: Any) -> None:
    force_nn = driver.read_force_nn()
    assert abs(force_nn) <= AT_REST_NN, f"{force_nn} nN on a probe that touches nothing"


def _camera_acts(driver: Any) -> dict[str, Callable[[], None]]:
    latest: Any = None

    def accept(frame: Any) -> None:
        nonlocal latest
        assert float(frame.pixels.mean()) > 110.0, "a black frame"  # 100 is the dark offset
        if latest is not None:
            assert frame.number > latest.number, f"frame {frame.number} after {latest.number}"
            assert not np.array_equal(frame.pixels, latest.pixels), "the same picture twice"
        latest = frame

    def snap() -> None:
        accept(driver.snap())

    def sequence() -> None:
        driver.start_sequence(3)
        frames = [driver.next_frame() for _ in range(3)]
        numbers = [frame.number for frame in frames]
        assert numbers == list(range(numbers[0], numbers[0] + 3)), f"frames {numbers} in a row"
        for frame in frames:
            accept(frame)

    return {"snap": snap, "sequence": sequence}


def rage(world: World, drivers: list[Player], faults: int, seed: int, said: Callable[[str], None]) -> Storm:
    """Let so many faults befall the drivers, one after the other."""
    dice, storm = random.Random(seed), Storm()
    for number in range(faults):
        player = dice.choice(drivers)
        name = dice.choice(list(known(player.device)))
        act = dice.choice(list(player.acts))
        extra = {
            "late_answer": {"delay_s": LATE_S},
            "stuck_axis": {"for_s": 0.5},
            "frozen_reading": {"readings": 5},
        }.get(name, {})
        _change_the_world(world, player, drivers)
        before = len(world.injected(player.device))
        world.arm({"name": name, "device": player.device, "after": dice.randrange(3), **extra})
        struck = False
        for _ in range(RECOVERIES):
            outcome = _one_act(player, act, f"{number}: {name} on {player.name}, {act}", storm)
            storm.outcomes[player.name, name, outcome] += 1
            injected = world.injected(player.device)
            befell, struck = not struck and len(injected) > before, struck or len(injected) > before
            if befell and outcome not in _allowed(player.device, injected[-WAITING:]):
                storm.broken.append(f"{number}: {name} on {player.name}, {act}: ended in {outcome}, {storm.told}")
            if struck and outcome == "right":
                break
            _change_the_world(world, player, drivers)
        else:
            storm.broken.append(f"{number}: {name} on {player.name}, {act}: does not recover, last {outcome}")
        if (number + 1) % 50 == 0:
            said(f"{number + 1} of {faults} faults, {len(storm.broken)} rules broken")
    return storm


def _allowed(device: str, faults: list[str]) -> set[str]:
    """Name the outcomes that these faults may have."""
    errors = set[type[DeviceError]]().union(*(EXPECTED[fault] for fault in faults))
    if device == "camera":
        errors = errors.union(*(ON_FRAMES.get(fault, set()) for fault in faults))
    if device == "force":
        errors |= {Stale}  # the readings of an earlier fault may still be frozen
    if device == "focus":
        errors |= REFUSED  # a following error that found nothing moving waits for the next motion
    return {"right", *(error.__name__ for error in errors)}


def _change_the_world(world: World, player: Player, drivers: list[Player]) -> None:
    """Take the stage elsewhere by another driver, so that an old value is not right by chance."""
    if player.device == "focus":
        _switch_motor_on(world)
    for other in drivers:
        if other.device == player.device and other is not player:
            with suppress(DeviceError, AssertionError):  # it may be struck itself; then it is looked at another time
                other.acts["move"]()
            return


def _switch_motor_on(world: World) -> None:
    """Do what an operator does after a following error, which takes the motor's power; no driver does it by itself."""
    url = urlsplit(world.ready["focus"]["url"])
    xps = world.ready["xps"]
    for address, command in (
        ((url.hostname, url.port), b"1MO\r1MO?\r"),
        ((xps["host"], xps["port"]), b"GroupMotionEnable(%s)" % xps["group"].encode()),
    ):
        with socket.create_connection(address, timeout=2) as line:
            line.sendall(command)
            line.settimeout(1.0)
            with suppress(TimeoutError):  # a fault may have swallowed it
                line.recv(100)


def _one_act(player: Player, act: str, what: str, storm: Storm) -> str:
    began = time.monotonic()
    try:
        player.acts[act]()
        outcome = "right"
    except DeviceError as error:
        outcome, storm.told = type(error).__name__, str(error)
    except AssertionError as wrong:
        outcome = "WRONG"
        storm.broken.append(f"{what}: {wrong}")
    except Exception as stray:
        outcome = "STRAY"
        storm.broken.append(f"{what}: {stray!r}")
    share = (time.monotonic() - began) / player.limit_s
    storm.slowest[player.name] = max(storm.slowest.get(player.name, 0.0), share)
    if share > 1:
        storm.broken.append(f"{what}: took {share * player.limit_s:.1f} s, {player.limit_s} s are allowed")
    return outcome


def main() -> int:
    """Print the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_world(Path(folder)) as world, ExitStack() as opened:
        drivers = players(world, opened)
        storm = rage(
            world, drivers, options.faults, options.seed, lambda line: print(line, file=sys.stderr, flush=True)
        )
    for (player, fault, outcome), count in sorted(storm.outcomes.items()):
        print(f"{player:<11} {fault:<17} {outcome:<15} {count}")
    for player, share in storm.slowest.items():
        print(f"{player:<11} slowest call: {share:.0%} of its deadline")
    for line in storm.broken:
        print(f"BROKEN {line}")
    print(f"{options.faults} faults, {len(storm.broken)} rules broken")
    return 1 if storm.broken else 0


if __name__ == "__main__":
    sys.exit(main())
