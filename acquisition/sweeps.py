"""A row of tiles as one sweep of the scanner: how fast, where each exposure has to begin, and the sweep itself."""

import math
from collections.abc import Sequence

from acquisition.plan import Plan
from devices.errors import DeviceError, DeviceRejected
from devices.protocols import Frame, LineScanner, Sweep
from devices.rig import Rig
from devices.troubles import overcoming

READOUT_S = 0.02
"""Between two exposures: twice what the largest sCMOS frame takes to read out."""
APPROACH_UM = 1.0
"""How far before its first place the scanner comes from, to take up its backlash."""


def sweep_speed_um_per_s(plan: Plan, pixel_size_um: float, step_um: float) -> float:
    """Fastest sweep that blurs no more than the plan allows and leaves the camera its time between two tiles."""
    exposure_s = plan.camera.exposure_s
    unblurred = plan.tiles.line_blur_px * pixel_size_um / exposure_s
    unhurried = step_um / (exposure_s + READOUT_S) if step_um else math.inf
    return min(unblurred, unhurried)


def middle_s(exposure_s: float, skew_s: float) -> float:
    """Time from a trigger to the moment that the lines of a frame show on average."""
    return (exposure_s + skew_s) / 2


def sweep_along(places_um: Sequence[float], plan: Plan, pixel_size_um: float, middle_s: float) -> Sweep:
    """Lay a sweep over one row, left to right: each place is under the camera `middle_s` after its trigger."""
    step_um = (places_um[-1] - places_um[0]) / (len(places_um) - 1) if len(places_um) > 1 else 0.0
    speed = sweep_speed_um_per_s(plan, pixel_size_um, step_um)
    way_um = speed * middle_s
    triggers_um = tuple(place_um - way_um for place_um in places_um)
    return Sweep("x", triggers_um[0], triggers_um[-1] + 2 * way_um, speed, triggers_um)


def line_scan(rig: Rig, y_um: float, sweep: Sweep, middle_s: float) -> tuple[list[Frame], list[dict[str, float]]]:
    """Sweep along the line at `y_um`; the frames, and where all axes were `middle_s` after the trigger of each.

    Raises:
        Stopped: somebody stopped the scanner or the camera; sweep and sequence have been ended.
        DeviceError: something failed; so have they.
    """
    scanner, camera = rig.scanner, rig.camera
    if not isinstance(scanner, LineScanner):
        raise DeviceRejected(scanner.name, "cannot sweep lines; use tiles.mode = 'step'")
    count = len(sweep.trigger_at_um)
    interval_s = abs(sweep.to_um - sweep.from_um) / sweep.speed_um_per_s / max(count - 1, 1)
    try:
        scanner.move_to({sweep.axis: _before(scanner, sweep), "y": y_um})
        camera.start_sequence(count, triggered=True, interval_s=interval_s)
        scanner.start_sweep(sweep)
        frames = [camera.next_frame() for _ in range(count)]
        scanner.wait_swept()
        return frames, scanner.read_swept_um(middle_s)
    except BaseException:
        for stop in (scanner.stop, camera.stop):
            with overcoming(DeviceError):  # the first error is the one to raise
                stop()
        raise


def _before(scanner: LineScanner, sweep: Sweep) -> float:
    """Find a place below the run-up, so that the play of the axis is taken up before the sweep."""
    begin_um, _ = scanner.sweep_ends_um(sweep)
    return max(begin_um - APPROACH_UM, scanner.limits_um[sweep.axis][0])
