"""A rig whose devices touch the twin's world directly: no wires, no waiting, and the truth at hand."""

from collections.abc import Mapping
from contextlib import ExitStack

import cv2
import numpy as np

from devices.errors import OutOfRange
from devices.protocols import Frame
from devices.rig import Rig, RigSettings
from hardware_sim.clock import ManualClock
from hardware_sim.settings import WorldSettings
from hardware_sim.specimen import HEIGHT_STEP_PX, Specimen
from hardware_sim.world import World

EXPOSURE_S = 0.02
SETTLED_S = 0.05
RIG = """
name = "a world without wires"
[calibration]
pixel_size_um = 1.0
frame_shape_px = [64, 64]
[devices.scanner]
driver = "pi_gcs"
host = "127.0.0.1"
axes = { x = "1", y = "2", z = "3" }
[devices.camera]
driver = "mmcore"
cfg = "camera.cfg"
"""
PROBE = """
[devices.force]
driver = "scpi"
url = "socket://127.0.0.1:1"
stiffness_n_per_m = 42.0
sensitivity_nm_per_v = 50.0
rides_on = "focus"
"""


def grain(size_um: float, pixel_um: float, seed: int = 0) -> Specimen:
    """A flat specimen of bright and dark grains, a few pixels wide."""
    side = round(size_um / pixel_um)
    noise = np.random.default_rng(seed).normal(size=(side, side)).astype(np.float32)
    grains = cv2.GaussianBlur(noise, (0, 0), 3.0)
    height = np.zeros((-(-side // HEIGHT_STEP_PX),) * 2, np.float32)
    return Specimen("grain", pixel_um, np.clip(0.5 + 2.0 * grains, 0.05, 0.95), height)


class WorldScanner:
    name = "scanner"
    axes = ("x", "y", "z")
    limits_um: Mapping[str, tuple[float, float]] = {"x": (0.0, 100.0), "y": (0.0, 100.0), "z": (0.0, 10.0)}

    def __init__(self, world: World, clock: ManualClock) -> None:
        self._world, self._clock = world, clock
        self.moves: list[dict[str, float]] = []

    def start_move(self, targets_um: Mapping[str, float]) -> None:
        for axis, target_um in targets_um.items():
            low, high = self.limits_um[axis]
            if not low <= target_um <= high:
                raise OutOfRange(self.name, f"{axis} = {target_um:g} um is outside {low:g}..{high:g} um")
        self.moves.append(dict(targets_um))
        self._world.scanner.move({"xyz".index(axis): um for axis, um in targets_um.items()})

    def wait_settled(self) -> None:
        self._clock.advance(SETTLED_S)

    def move_to(self, targets_um: Mapping[str, float]) -> None:
        self.start_move(targets_um)
        self.wait_settled()

    def read_position_um(self) -> dict[str, float]:
        return dict(zip(self.axes, map(float, self._world.scanner.sensed_um()), strict=True))

    def stop(self) -> None: ...

    def close(self) -> None: ...


class WorldFocus:
    name = "focus"
    axes = ("z",)
    limits_um: Mapping[str, tuple[float, float]] = {"z": (0.0, 100_000.0)}

    def __init__(self, world: World) -> None:
        self._world = world
        self.moves: list[float] = []

    def start_move(self, targets_um: Mapping[str, float]) -> None:
        self.moves.append(targets_um["z"])
        self._motion = self._world.focus.move(targets_um["z"] / 1000.0, 20.0, 80.0)

    def wait_settled(self) -> None:
        self._world.focus.wait_for(self._motion)

    def move_to(self, targets_um: Mapping[str, float]) -> None:
        self.start_move(targets_um)
        self.wait_settled()

    def read_position_um(self) -> dict[str, float]:
        return {"z": self._world.focus.encoder_mm() * 1000.0}

    def stop(self) -> None: ...

    def close(self) -> None: ...


class WorldCamera:
    name = "camera"
    skew_s = 0.0

    def __init__(self, world: World) -> None:
        self._world = world
        self.frame_shape = world.settings.camera.frame_shape_px
        self.snaps = 0
        self._exposure_s = EXPOSURE_S

    def set_exposure_s(self, exposure_s: float) -> None:
        self._exposure_s = exposure_s

    def snap(self) -> Frame:
        pixels, exposure = self._world.expose(self._exposure_s)
        self.snaps += 1
        return Frame(np.asarray(pixels, np.uint16), exposure.number)

    def start_sequence(self, frames: int, triggered: bool = False, interval_s: float = 0.0) -> None: ...

    def next_frame(self) -> Frame:
        return self.snap()

    def stop(self) -> None: ...

    def close(self) -> None: ...


class WorldForce:
    name = "force"

    def __init__(self, world: World) -> None:
        self._world = world

    def read_force_nn(self) -> float:
        return self._world.cantilever.force_nn()

    def close(self) -> None: ...


class WorldRig:
    """A world, its clock, and a rig in it; with a focus stage, and a probe that rides on it, if wanted."""

    def __init__(
        self,
        settings: WorldSettings,
        specimen: Specimen,
        focus_stage: bool = True,
        probe: bool = False,
        seed: int = 0,
        clear_above_um: float | None = None,
    ) -> None:
        self.clock = ManualClock()
        self.world = World(settings, specimen, self.clock, seed)
        self.scanner, self.focus = WorldScanner(self.world, self.clock), WorldFocus(self.world)
        self.camera = WorldCamera(self.world)
        devices: dict[str, object] = {"scanner": self.scanner, "camera": self.camera}
        if focus_stage:
            devices["focus"] = self.focus
        if probe:
            devices["force"] = WorldForce(self.world)
        text = RIG + (PROBE if probe else "")
        text += "" if clear_above_um is None else f"clear_above_um = {clear_above_um}\n"
        self.rig = Rig(RigSettings.from_toml(text), devices, ExitStack())

    def defocus_um(self) -> float:
        """How far the plane of sharpness lies from the specimen, in truth."""
        true_um = self.world.scanner.true_um(self.clock.now_s())
        return self.world.microscope.defocus_um(self.world.focus.position_mm() * 1000.0, true_um)
