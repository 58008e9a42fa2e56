"""How long an axis takes to come to rest: steps, and the position asked for as fast as the controller answers."""

import math
import statistics
import time
from dataclasses import dataclass

from acquisition.instructions import Instructions
from devices.errors import DeviceTimeout
from devices.protocols import Positioner

STEPS = 8
RESTS_FOR_S = 0.05  # inside the tolerance without leaving it: slower swings than that are drift
LONGEST_S = 5.0
MEDIAN_OF_MEAN = 1.25  # standard deviation of a median by that of a mean, for Gaussian errors


@dataclass(frozen=True)
class SettleFit:
    """Median time, and one standard deviation of it."""

    settle_s: float
    sd_s: float


def measure_settling(
    scanner: Positioner, axis: str, here_um: float, step_um: float, tolerance_um: float, told: Instructions
) -> SettleFit:
    """Step to and fro, from `here_um` by `step_um`; from the command until the sensors stay within the tolerance.

    Raises:
        DeviceTimeout: the axis does not come to rest.
        Cut: it was told to end.
    """
    scanner.move_to({axis: here_um})
    times_s = []
    for number in range(STEPS):
        told.wait(0.0)
        target_um = here_um + (step_um if number % 2 == 0 else 0.0)
        times_s.append(_settled_after_s(scanner, axis, target_um, tolerance_um))
    sd_s = MEDIAN_OF_MEAN * statistics.stdev(times_s) / math.sqrt(STEPS)
    return SettleFit(statistics.median(times_s), sd_s)


def _settled_after_s(scanner: Positioner, axis: str, target_um: float, tolerance_um: float) -> float:
    began_s = time.monotonic()
    scanner.start_move({axis: target_um})
    inside_s: float | None = None
    while True:
        away_um = abs(scanner.read_position_um()[axis] - target_um)
        now_s = time.monotonic() - began_s
        if away_um > tolerance_um:
            inside_s = None
        elif inside_s is None:
            inside_s = now_s
        if inside_s is not None and now_s - inside_s >= RESTS_FOR_S:
            scanner.wait_settled()
            return inside_s
        if now_s > LONGEST_S:
            raise DeviceTimeout(
                scanner.name, f"{axis} has not come within {tolerance_um:g} um of {target_um:g} um in {LONGEST_S:g} s"
            )
