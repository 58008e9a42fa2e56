"""A stage, a camera and a cantilever whose truth is known, without wires."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache

import cv2
import numpy as np

from devices.camera_matrix import Matrix
from devices.protocols import Frame
from devices.rig import Rig, RigSettings

SIDE_PX = 160
TEXTURE_UM = 0.02
STIFFNESS_N_PER_M = 42.0

RIG = """
name = "bench"
[calibration]
pixel_size_um = {pixel_um}
frame_shape_px = [160, 160]
[devices.scanner]
driver = "pi_gcs"
host = "127.0.0.1"
axes = {{ x = "1", y = "2", z = "3" }}
[devices.camera]
driver = "mmcore"
cfg = "camera.cfg"
[devices.force]
driver = "scpi"
url = "socket://127.0.0.1:1"
stiffness_n_per_m = 42.0
sensitivity_nm_per_v = {nm_per_v}
"""


@dataclass
class Truth:
    """What is really the case."""

    matrix_um: Matrix = ((0.02, 0.0), (0.0, 0.02))
    landing_px: float = 0.3
    backlash_um: tuple[float, float] = (0.05, 0.08)
    nm_per_v: float = 50.0
    contact_z_um: float = 1.0
    offset_nn: float = 0.0  # what the detector adds to every force, as its zero drifted
    textured: bool = True


@dataclass
class Stage:
    """Misses its targets by what it does not tell; fulfils `Positioner`."""

    truth: Truth
    name: str = "scanner"
    axes: tuple[str, ...] = ("x", "y", "z")
    limits_um: Mapping[str, tuple[float, float]] = field(
        default_factory=lambda: {"x": (0.0, 40.0), "y": (0.0, 40.0), "z": (0.0, 2.0)}
    )
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))
    targets: list[dict[str, float]] = field(default_factory=list)
    before_move: Callable[[], None] = lambda: None
    stops: int = 0

    def __post_init__(self) -> None:
        self.position_um = {"x": 17.0, "y": 22.0, "z": 0.3}
        self.lost_um = {"x": 0.0, "y": 0.0}
        self.landed_um = np.zeros(2)

    def start_move(self, targets_um: Mapping[str, float]) -> None:
        self.before_move()
        self.targets.append(dict(targets_um))
        for axis, target in targets_um.items():
            if axis != "z" and target != self.position_um[axis]:
                lost = self.truth.backlash_um["xy".index(axis)]
                self.lost_um[axis] = lost if target < self.position_um[axis] else 0.0
        self.position_um |= targets_um
        if {"x", "y"} & targets_um.keys():
            self.landed_um = self.random.normal(0.0, self.truth.landing_px * TEXTURE_UM, 2)

    def wait_settled(self) -> None: ...

    def move_to(self, targets_um: Mapping[str, float]) -> None:
        self.start_move(targets_um)

    def read_position_um(self) -> dict[str, float]:
        return dict(self.position_um)

    def true_um(self) -> np.ndarray:
        """Where it really is (x, y)."""
        return np.array([self.position_um[axis] + self.lost_um[axis] for axis in "xy"]) + self.landed_um

    def stop(self) -> None:
        self.stops += 1

    def close(self) -> None: ...


class Camera:
    """Looks at a texture through a known matrix; fulfils `Camera`."""

    name = "camera"
    frame_shape = (SIDE_PX, SIDE_PX)
    skew_s = 0.0

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._number = 0
        self._random = np.random.default_rng(2)
        self._texture = 1000.0 + 400.0 * _texture() * stage.truth.textured

    def set_exposure_s(self, exposure_s: float) -> None: ...

    def snap(self) -> Frame:
        self._number += 1
        into_texture = np.array(self._stage.truth.matrix_um) / TEXTURE_UM
        middle = np.full(2, (SIDE_PX - 1) / 2)
        offset = self._stage.true_um() / TEXTURE_UM - into_texture @ middle
        picture = cv2.warpAffine(
            self._texture,
            np.column_stack([into_texture, offset]),
            self.frame_shape,
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT,
        )
        noisy = picture + self._random.normal(0.0, 10.0, picture.shape)
        return Frame(np.round(noisy).astype(np.uint16), self._number)

    def stop(self) -> None: ...

    def close(self) -> None: ...


class Lever:
    """A spring against a hard specimen; fulfils `ForceSensor`."""

    name = "force"

    def __init__(self, stage: Stage, written_nm_per_v: float) -> None:
        self._stage = stage
        self._gain = written_nm_per_v / stage.truth.nm_per_v  # what the driver makes of the true volts
        self._random = np.random.default_rng(3)
        self.most_nn = self.most_read_nn = 0.0

    def read_force_nn(self) -> float:
        bent_nm = max(self._stage.position_um["z"] - self._stage.truth.contact_z_um, 0.0) * 1000.0
        true_nn = STIFFNESS_N_PER_M * bent_nm
        self.most_nn = max(self.most_nn, true_nn)
        read_nn = true_nn * self._gain + self._stage.truth.offset_nn + float(self._random.normal(0.0, 1.0))
        self.most_read_nn = max(self.most_read_nn, read_nn)
        return read_nn

    def close(self) -> None: ...


@dataclass
class Bench:
    """A rig of the three, and each of them."""

    rig: Rig
    stage: Stage
    lever: Lever


def bench(truth: Truth, pixel_um: float = 0.02, nm_per_v: float = 50.0) -> Bench:
    """Put up a rig whose file says `pixel_um` and `nm_per_v`, whatever is true."""
    stage = Stage(truth)
    lever = Lever(stage, nm_per_v)
    settings = RigSettings.from_toml(RIG.format(pixel_um=pixel_um, nm_per_v=nm_per_v))
    devices = {"scanner": stage, "camera": Camera(stage), "force": lever}
    return Bench(Rig(settings, devices, ExitStack()), stage, lever)


@cache
def _texture() -> np.ndarray:
    """Grains of all sizes, 2000 x 2000 px."""
    random = np.random.default_rng(4)
    noise = random.standard_normal((2000, 2000)).astype(np.float32)
    grains = sum(cv2.GaussianBlur(noise, (0, 0), sigma) * sigma for sigma in (1.2, 3.0, 8.0))
    return np.asarray(grains / np.std(grains), dtype=np.float64)
