"""A rig of stand-ins that writes down what is asked of it; the twin has its own tests."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acquisition.field import Field
from acquisition.plan import Plan
from acquisition.run_store import RunStore
from devices.protocols import Frame
from devices.rig import Rig, RigSettings

FIELD = Field((24, 32), 0.1)

RIG = """
name = "stand-ins"
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
"""


class Scanner:
    name = "scanner"
    axes = ("x", "y", "z")
    limits_um: Mapping[str, tuple[float, float]] = {"x": (0.0, 100.0), "y": (0.0, 100.0), "z": (0.0, 10.0)}

    def __init__(self) -> None:
        self.moves: list[dict[str, float]] = []
        self.stops = 0
        self.before_move: Callable[[], None] = lambda: None

    def start_move(self, targets_um: Mapping[str, float]) -> None:
        self.before_move()
        self.moves.append(dict(targets_um))

    def wait_settled(self) -> None: ...

    def move_to(self, targets_um: Mapping[str, float]) -> None:
        self.start_move(targets_um)

    def read_position_um(self) -> dict[str, float]:
        return {"x": 0.0, "y": 0.0, "z": 0.0} | (self.moves[-1] if self.moves else {})

    def stop(self) -> None:
        self.stops += 1

    def close(self) -> None: ...


class Camera:
    """Each frame is filled with its own number."""

    name = "camera"
    frame_shape = FIELD.shape_px
    skew_s = 0.0

    def __init__(self) -> None:
        self.snaps = 0
        self.before_snap: Callable[[], None] = lambda: None

    def set_exposure_s(self, exposure_s: float) -> None:
        self.exposure_s = exposure_s

    def snap(self) -> Frame:
        self.before_snap()
        self.snaps += 1
        return Frame(np.full(self.frame_shape, self.snaps, np.uint16), self.snaps)

    def start_sequence(self, frames: int, triggered: bool = False, interval_s: float = 0.0) -> None: ...

    def next_frame(self) -> Frame:
        return self.snap()

    def stop(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def rig() -> Any:
    return Rig(RigSettings.from_toml(RIG), {"scanner": Scanner(), "camera": Camera()}, ExitStack())


@pytest.fixture
def new_store(tmp_path: Path) -> Callable[..., RunStore]:
    """Lay out a run of 3 x 2 tiles; keywords change the plan."""

    def create(rig: dict[str, Any] | None = None, **changes: Any) -> RunStore:
        region = {"x_um": (20.0, 27.0), "y_um": (30.0, 34.0)}
        plan = Plan.model_validate({"region": region} | changes)
        settings = RigSettings.from_toml(RIG).model_dump(mode="json")
        return RunStore.create(tmp_path / "run", plan, FIELD, rig=rig or settings)

    return create
