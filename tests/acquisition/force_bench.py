"""A spring above a specimen, in this process: what the probe of the twin does, without noise, lag and wires."""

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from acquisition.force import ForceControl
from acquisition.heartbeat import Heartbeat
from acquisition.instructions import Instructions
from acquisition.plan import Force
from devices.errors import DeviceTimeout, OutOfRange, Saturated, Stopped
from devices.rig import Rig, RigSettings
from tests.acquisition.conftest import Camera

STIFFNESS_N_PER_M = 42.0
PULL_OFF_UM = 0.8
SATURATES_AT_NN = 21_000.0
PATIENCE_S = 20.0  # a busy machine; what is waited for takes milliseconds

RIG = """
name = "spring"
[calibration]
pixel_size_um = 0.1
frame_shape_px = [24, 32]
[devices.scanner]
driver = "pi_gcs"
host = "127.0.0.1"
axes = { x = "1", y = "2", z = "3" }
[devices.camera]
driver = "mmcore"
cfg = "camera.cfg"
[devices.focus]
driver = "esp301"
url = "socket://127.0.0.1:1"
limits_um = [0.0, 100000.0]
[devices.force]
driver = "scpi"
url = "socket://127.0.0.1:2"
stiffness_n_per_m = 42.0
sensitivity_nm_per_v = 50.0
"""


class Stage:
    """All axes at once at their targets; writes down where they were sent."""

    def __init__(self, name: str, limits_um: Mapping[str, tuple[float, float]], place_um: dict[str, float]) -> None:
        self.name = name
        self.axes = tuple(limits_um)
        self.limits_um = limits_um
        self.place_um = place_um
        self.went: list[dict[str, float]] = []
        self.before_move: Callable[[], None] = lambda: None
        self._stops = 0

    def move_to(self, targets_um: Mapping[str, float]) -> None:
        self.before_move()
        for axis, target_um in targets_um.items():
            low_um, high_um = self.limits_um[axis]
            if not low_um <= target_um <= high_um:
                raise OutOfRange(self.name, f"{axis} = {target_um:g} um")
        self.place_um = {**self.place_um, **targets_um}
        self.went.append(dict(targets_um))

    start_move = move_to

    def wait_settled(self) -> None: ...

    def steer(self, axis: str) -> Callable[[float], None]:
        stops = self._stops

        def to(target_um: float) -> None:
            if self._stops != stops:
                raise Stopped(self.name, "stopped")
            self.move_to({axis: target_um})

        return to

    def steer_past(self, axis: str, target_um: float) -> None:
        self.before_move = lambda: None  # what is stuck is not in this way
        self.move_to({axis: target_um})

    def read_position_um(self) -> dict[str, float]:
        return dict(self.place_um)

    def stop(self) -> None:
        self._stops += 1

    def close(self) -> None: ...


class Probe:
    """Fulfils `ForceSensor`; `specimen_um` is the scanner z at which it touches, with the stage where it began."""

    name = "force"

    def __init__(self, scanner: Stage, focus: Stage, specimen_um: float) -> None:
        self.scanner, self.focus = scanner, focus
        self.specimen_um = specimen_um
        self.slope = 0.0  # of the specimen along x
        self.offset_nn = 0.0
        self.highest_nn = 0.0
        self.next_reading: Callable[[float], float] = lambda force_nn: force_nn
        self._touches = False
        self._start_um = focus.place_um["z"]
        self._start_x_um = scanner.place_um["x"]

    def true_nn(self) -> float:
        place_um = self.scanner.place_um
        raised_um = self.focus.place_um["z"] - self._start_um
        high_um = place_um["z"] + self.slope * (place_um["x"] - self._start_x_um)
        pressed_um = high_um - self.specimen_um - raised_um
        self._touches = pressed_um > 0 or (self._touches and pressed_um > -PULL_OFF_UM)
        force_nn = STIFFNESS_N_PER_M * 1000.0 * pressed_um if self._touches else 0.0
        self.highest_nn = max(self.highest_nn, force_nn)
        return force_nn

    def read_force_nn(self) -> float:
        force_nn = self.next_reading(self.true_nn() + self.offset_nn)
        if abs(force_nn) > SATURATES_AT_NN:
            raise Saturated(self.name, "the detector is saturated")
        return force_nn

    def close(self) -> None: ...


class Bench:
    """A rig of these, and what was noted."""

    def __init__(self, specimen_um: float = 5.0, rides_on: str | None = "focus") -> None:
        travel_um = {"x": (0.0, 100.0), "y": (0.0, 100.0), "z": (0.0, 10.0)}
        self.scanner = Stage("scanner", travel_um, {"x": 50.0, "y": 50.0, "z": 0.0})
        self.focus = Stage("focus", {"z": (0.0, 100_000.0)}, {"z": 50_000.0})
        self.probe = Probe(self.scanner, self.focus, specimen_um)
        self.told = Instructions()
        self.heartbeat = Heartbeat.unshared()
        self.notes: list[tuple[str, dict[str, Any]]] = []
        text = RIG + (f'rides_on = "{rides_on}"\n' if rides_on else "")
        devices = {"scanner": self.scanner, "camera": Camera(), "focus": self.focus, "force": self.probe}
        self.rig = Rig(RigSettings.from_toml(text), devices, ExitStack())

    def control(self, policy: str = "contact", **changes: float) -> ForceControl:
        settings = Force.model_validate({"policy": policy, **changes})
        return ForceControl(self.rig, settings, self.told, self.note, self.heartbeat)

    def note(self, kind: str, **data: Any) -> None:
        self.notes.append((kind, data))

    @property
    def is_retracted(self) -> bool:
        return self.scanner.place_um["z"] == 0.0


def once(fault: Callable[[float], float]) -> Callable[[float], float]:
    """Let a fault befall the next reading only."""
    left = [fault]
    return lambda force_nn: left.pop()(force_nn) if left else force_nn


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    waited = threading.Event()
    for _ in range(int(PATIENCE_S / 0.002)):
        if condition():
            return
        waited.wait(0.002)
    raise DeviceTimeout("test", f"waited {PATIENCE_S} s in vain")
