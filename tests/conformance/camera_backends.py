"""Both sorts of camera that a Micro-Manager core has: a Python device, the twin's, and a C++ adapter, DemoCamera."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mm_test_adapters

from devices.camera_mmcore import MmCamera
from devices.settings import MmCoreSettings
from tests.conformance.bench import Bench

READOUT_S = 1.0  # beyond the exposure, for a frame of 512 x 512 on a busy machine
EXPOSURE_S = 0.01
DEMO_CFG = Path(mm_test_adapters.__file__).parent / "libs" / "MMConfig_demo.cfg"


@dataclass(frozen=True)
class CameraBackend:
    """A camera, and how its driver is opened."""

    name: str
    open: Callable[[Bench], MmCamera]


def open_twin(bench: Bench) -> MmCamera:
    settings = MmCoreSettings(
        cfg=Path(bench.ready["camera"]["cfg"]),
        readout_s=READOUT_S,
        first_frame_s=READOUT_S,
        identical_is_frozen=True,
        external_trigger=("Triggermode", "External"),
        internal_trigger=("Triggermode", "Internal"),
    )
    return MmCamera("camera", settings)


def _open_demo(bench: Bench) -> MmCamera:
    return MmCamera("camera", MmCoreSettings(cfg=DEMO_CFG, readout_s=READOUT_S, first_frame_s=READOUT_S))


CAMERAS = (CameraBackend("twin", open_twin), CameraBackend("DemoCamera", _open_demo))
