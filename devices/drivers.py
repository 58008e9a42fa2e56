"""Which drivers there are: ours, and those of other packages.

Another package offers a driver through the entry-point group `nanoraster.drivers`: the name is the `driver` of the rig
file, the object a pair of its settings model (a `DriverSettings`) and a factory `(name, settings) -> device`.
"""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from devices.settings import (
    DriverSettings,
    Esp301Settings,
    MmCoreSettings,
    NidaqForceSettings,
    OpenCvVideoSettings,
    PiGcsSettings,
    ScpiForceSettings,
    XpsSettings,
)

Factory = Callable[[str, Any], Any]
Driver = tuple[type[DriverSettings], Factory]

GROUP = "nanoraster.drivers"


def driver_named(name: str) -> Driver | None:
    """Settings model and factory of a driver, None if there is none of this name; ours win over a namesake."""
    if name in OURS:
        return OURS[name]
    return next((point.load() for point in entry_points(group=GROUP, name=name)), None)


def driver_names() -> list[str]:
    """Names of all drivers, sorted; loads none."""
    return sorted({*OURS, *(point.name for point in entry_points(group=GROUP))})


# Vendor libraries are imported by the rig that uses them: reading a rig file must not load a camera core.
def _pi_gcs(name: str, settings: PiGcsSettings) -> Any:
    from devices.scanner_pi import PiScanner

    return PiScanner(name, settings)


def _esp301(name: str, settings: Esp301Settings) -> Any:
    from devices.focus_esp301 import Esp301Focus

    return Esp301Focus(name, settings)


def _xps(name: str, settings: XpsSettings) -> Any:
    from devices.focus_xps import XpsFocus

    return XpsFocus(name, settings)


def _mmcore(name: str, settings: MmCoreSettings) -> Any:
    from devices.camera_mmcore import MmCamera

    return MmCamera(name, settings)


def _scpi(name: str, settings: ScpiForceSettings) -> Any:
    from devices.force_scpi import ScpiForce

    return ScpiForce(name, settings)


def _nidaqmx(name: str, settings: NidaqForceSettings) -> Any:
    from devices.force_nidaq import NidaqForce

    return NidaqForce(name, settings)


def _opencv(name: str, settings: OpenCvVideoSettings) -> Any:
    from devices.video_opencv import OpenCvVideo

    return OpenCvVideo(name, settings)


OURS: dict[str, Driver] = {
    "pi_gcs": (PiGcsSettings, _pi_gcs),
    "esp301": (Esp301Settings, _esp301),
    "xps": (XpsSettings, _xps),
    "mmcore": (MmCoreSettings, _mmcore),
    "scpi": (ScpiForceSettings, _scpi),
    "nidaqmx": (NidaqForceSettings, _nidaqmx),
    "opencv": (OpenCvVideoSettings, _opencv),
}
