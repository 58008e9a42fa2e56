"""Does each device of a rig answer, and with what? Nothing moves unless it is asked to."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from devices.errors import DeviceError
from devices.moves import spell
from devices.protocols import Camera, ForceSensor, Positioner, VideoSource
from devices.rig import Rig, open_device
from devices.rig_file import RigFileError, RigSettings
from devices.troubles import overcome

TRIES = 3
READINGS = 10
STEP_OF_RANGE = 0.01
LONGEST_STEP_UM = 10.0


@dataclass(frozen=True)
class Check:
    """What one device said, or what kept it from answering."""

    device: str
    driver: str
    ok: bool
    found: str
    took_s: float = 0.0


def check_rig(settings: RigSettings, move: bool) -> Iterator[Check]:
    """Connect to each device in turn, test it, and let go of it again; yields as it goes.

    With `move`, each axis of the positioners takes a small step and comes back. The probe is retracted first, and
    stays so.
    """
    has_probe = settings.devices.force is not None
    for role, device_settings in settings.devices.by_role().items():
        test = _TESTS[device_settings.kind]
        began = time.monotonic()
        result = Check(role, device_settings.driver, ok=True, found="")
        try:
            with closing(open_device(role, device_settings)) as device:
                found = test(device)
                if role == "camera":
                    _refuse_other_shape(settings, device)
                if move and device_settings.kind == "positioner":
                    found += f"; {_step_and_return(device, retract_z=role == 'scanner' and has_probe)}"
            result = replace(result, found=found)
        except (DeviceError, RigFileError) as error:
            result = replace(result, ok=False, found=str(error))
        yield replace(result, took_s=time.monotonic() - began)


def check_open_rig(rig: Rig) -> Iterator[Check]:
    """Test the devices of an open rig; moves nothing, and yields as it goes.

    What fails is tested again: one lost answer is no reason against a night's run.
    """
    for role, device_settings in rig.settings.devices.by_role().items():
        if (device := getattr(rig, role)) is not None:
            yield _tested(Check(role, device_settings.driver, ok=True, found=""), _TESTS[device_settings.kind], device)


def _tested(result: Check, test: Callable[[Any], str], device: Any) -> Check:
    began = time.monotonic()
    for _ in range(TRIES):
        try:
            result = replace(result, ok=True, found=test(device))
        except DeviceError as error:
            overcome(error)
            result = replace(result, ok=False, found=str(error))
        if result.ok:
            break
    return replace(result, took_s=time.monotonic() - began)


def _test_positioner(device: Positioner) -> str:
    limits = ", ".join(f"{axis} {low:g}..{high:g} um" for axis, (low, high) in device.limits_um.items())
    return f"at {spell(device.read_position_um())}; limits {limits}"


def _test_camera(camera: Camera) -> str:
    """Two frames: the second must be another one, and show more than a single grey."""
    camera.snap()
    frame = camera.snap()
    low, high = int(frame.pixels.min()), int(frame.pixels.max())
    if low == high:
        raise DeviceError(camera.name, f"all pixels of a frame are {low}: no light reaches the sensor, or no signal")
    rows, columns = camera.frame_shape
    return f"{rows} x {columns} px, grey {low}..{high}, mean {frame.pixels.mean():.0f}"


def _test_force(sensor: ForceSensor) -> str:
    readings_nn = [sensor.read_force_nn() for _ in range(READINGS)]
    mean, sd = statistics.fmean(readings_nn), statistics.stdev(readings_nn)
    return f"{mean:.1f} nN, noise {sd:.2f} nN rms in {READINGS} readings"


def _test_video(source: VideoSource) -> str:
    frame = source.read_frame()
    rows, columns = frame.pixels.shape
    return f"{rows} x {columns} px, mean {frame.pixels.mean():.0f}"


_TESTS: dict[str, Callable[[Any], str]] = {
    "positioner": _test_positioner,
    "camera": _test_camera,
    "force": _test_force,
    "video": _test_video,
}


def _refuse_other_shape(settings: RigSettings, camera: Camera) -> None:
    expected = settings.calibration.frame_shape_px
    if camera.frame_shape != expected:
        raise DeviceError(
            camera.name,
            f"its frames are {list(camera.frame_shape)}, calibration.frame_shape_px says {list(expected)}",
        )


def _step_and_return(device: Positioner, retract_z: bool) -> str:
    """Move every axis a little, away from its nearer limit, and back; z only downwards where a probe hangs above."""
    said = []
    axes = list(device.axes)
    if retract_z and "z" in axes:
        axes.remove("z")
        device.move_to({"z": device.limits_um["z"][0]})
        said.append("probe retracted")
    for axis in axes:
        low_um, high_um = device.limits_um[axis]
        here_um = min(max(device.read_position_um()[axis], low_um), high_um)
        step_um = min(STEP_OF_RANGE * (high_um - low_um), LONGEST_STEP_UM)
        away_um = here_um - step_um if here_um - low_um > high_um - here_um else here_um + step_um
        device.move_to({axis: away_um})
        device.move_to({axis: here_um})
        said.append(f"{axis} went {step_um:g} um and back")
    return ", ".join(said)
