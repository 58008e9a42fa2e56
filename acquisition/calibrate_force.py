"""The cantilever's volts per nanometre: in contact the probe goes with the piezo, nanometre by nanometre.

The specimen is lifted in small steps until the reading leaves its baseline; then to and fro within a part of the
force limit. Forces are those of the sensitivity that the rig file has; the slope of force over height, which ought to
be the spring's stiffness, says by how much that is wrong. As in a scan, what is read without contact counts against the
limit if it pushes, for it may be a contact, and adds nothing to it if it pulls.
"""

import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acquisition.force_budget import BASELINE_PART, trusted_nn
from acquisition.heartbeat import Heartbeat
from acquisition.instructions import Instructions
from devices.protocols import ForceSensor, Positioner
from devices.settings import DeflectionSettings

NM_PER_UM = 1000.0
APPROACH_SHARE = 0.2  # of the force limit: what one step of the approach adds at most, should it end in contact
LONGEST_STEP_NM = 50.0  # of the approach, for soft springs
BASELINE = 40  # readings
CONTACT_SDS = 8.0  # of the baseline's noise: not once in a million steps by chance
LEAST_CONTACT_NM = 0.3  # of deflection; less is laser drift or drag
TOP_SHARE = 0.6  # of the force limit: how far the ramps go, after an approach that may already have added its share
POINTS = 20  # of a ramp one way
READINGS = 4  # at each point
LEAST_RAMPS, MOST_RAMPS = 2, 12
STEP_S = 2.0
"""Longest time of a step, or a reading, as the guardian is told: z stands still meanwhile, and only drifts."""
ENOUGH = 0.004  # one standard deviation of the sensitivity, as a part of it: a fifth of the 2 % that are asked for


class ContactError(RuntimeError):
    """The probe does not meet the specimen as it should."""


@dataclass(frozen=True)
class SensitivityFit:
    """What was found, with one standard deviation."""

    nm_per_v: float
    sd_nm_per_v: float
    contact_z_um: float
    points: int


def measure_sensitivity(
    scanner: Positioner,
    sensor: ForceSensor,
    settings: DeflectionSettings,
    limit_nn: float,
    told: Instructions,
    heart: Heartbeat,
) -> SensitivityFit:
    """Approach from the lower limit of z, ramp, and fit; the caller retracts, however this ends, and rests `heart`.

    Raises:
        ContactError: no contact within the travel, a force above the limit, a slope that is none of a contact, a limit
            or a zero that the detector cannot be trusted with, or the guardian has retracted the probe.
        Saturated, DeviceError: a reading or a move failed.
        Cut: it was told to end.
    """
    if limit_nn > (most_nn := trusted_nn(settings)):
        raise ContactError(f"force: a limit of {limit_nn:g} nN, where the detector can be trusted up to {most_nn:g} nN")
    heart.force.beat(STEP_S)
    heart.engaged = True
    contact = _Contact(scanner, sensor, settings, limit_nn, told, heart)
    contact_um, zero_nn = contact.approach()
    step_um = TOP_SHARE * _left_nn(limit_nn, zero_nn) / settings.stiffness_n_per_m / POINTS / NM_PER_UM
    ramps: list[NDArray[np.float64]] = []
    for number in range(MOST_RAMPS):
        ramps += contact.ramps(contact_um, step_um, zero_nn)
        slope, sd = _common_slope(ramps)
        if number + 1 >= LEAST_RAMPS and 0 < sd <= ENOUGH * slope:
            break
    if not slope > 2 * sd:
        raise ContactError(f"force: the slope in contact, {slope:.3g} +- {sd:.2g} nN/nm, is none")
    nm_per_v = settings.sensitivity_nm_per_v * settings.stiffness_n_per_m / slope
    return SensitivityFit(nm_per_v, nm_per_v * sd / slope, contact_um, sum(map(len, ramps)))


class _Contact:
    """Moves the specimen against the probe, and looks at the force at every step."""

    def __init__(
        self,
        scanner: Positioner,
        sensor: ForceSensor,
        settings: DeflectionSettings,
        limit_nn: float,
        told: Instructions,
        heart: Heartbeat,
    ) -> None:
        self._scanner = scanner
        self._sensor = sensor
        self._stiffness_n_per_m = settings.stiffness_n_per_m
        self._limit_nn = limit_nn
        self._told = told
        self._heart = heart

    def approach(self) -> tuple[float, float]:
        """Lift the specimen until it touches: height of contact (um), and the reading without contact (nN)."""
        low_um, high_um = self._scanner.limits_um["z"]
        self._scanner.move_to({"z": low_um})
        baseline = deque((self._read_nn() for _ in range(BASELINE)), maxlen=BASELINE)
        if abs(at_first_nn := statistics.fmean(baseline)) > BASELINE_PART * self._limit_nn:
            raise ContactError(
                f"force: {at_first_nn:.0f} nN with the probe retracted, for a limit of {self._limit_nn:g} nN: it "
                "touches already, or its offset_v is wrong"
            )
        left_nn = _left_nn(self._limit_nn, at_first_nn)
        step_nm = min(APPROACH_SHARE * left_nn / self._stiffness_n_per_m, LONGEST_STEP_NM)
        for z_um in np.arange(low_um, high_um, step_nm / NM_PER_UM)[1:]:
            zero_nn = statistics.fmean(baseline)
            force_nn = self._force_at(float(z_um), zero_nn)
            least_nn = max(CONTACT_SDS * statistics.stdev(baseline), LEAST_CONTACT_NM * self._stiffness_n_per_m)
            if abs(force_nn) > least_nn:
                return float(z_um), zero_nn
            baseline.append(force_nn + zero_nn)
        raise ContactError(f"force: no contact up to z = {high_um:g} um; bring the probe nearer to the specimen")

    def ramps(self, from_um: float, step_um: float, zero_nn: float) -> list[NDArray[np.float64]]:
        """Go up and down again in contact: height (nm) and mean force (nN) at each point (n, 2), each way by itself.

        The point of turning belongs to neither: what the sensors miss between the two ways must not bend the line.
        """
        highest_um = self._scanner.limits_um["z"][1]
        heights_um = [min(from_um + step_um * point, highest_um) for point in range(POINTS + 1)]
        return [self._ramp(heights_um[1:], zero_nn), self._ramp(heights_um[-2::-1], zero_nn)]

    def _ramp(self, heights_um: Sequence[float], zero_nn: float) -> NDArray[np.float64]:
        points = []
        for z_um in heights_um:
            first_nn = self._force_at(z_um, zero_nn)
            others_nn = [self._read_nn() - zero_nn for _ in range(READINGS - 1)]
            points.append((z_um * NM_PER_UM, statistics.fmean([first_nn, *others_nn])))
        return np.array(points)

    def _force_at(self, z_um: float, zero_nn: float) -> float:
        self._told.wait(0.0)
        self._heart.force.beat(STEP_S)
        if self._heart.retracted:  # asked last: from then on it keeps the probe down
            raise ContactError("force: the guardian has retracted the probe")
        self._scanner.move_to({"z": z_um})
        reading_nn = self._read_nn()
        force_nn = reading_nn - zero_nn
        if (worst_nn := max(abs(force_nn), reading_nn)) > self._limit_nn:
            raise ContactError(
                f"force: {worst_nn:.0f} nN at z = {z_um:.4f} um is above the limit of {self._limit_nn:g} nN; "
                f"without contact {zero_nn:.0f} nN are read"
            )
        return force_nn

    def _read_nn(self) -> float:
        self._heart.force.beat(STEP_S)
        return self._sensor.read_force_nn()


def _left_nn(limit_nn: float, zero_nn: float) -> float:
    """Tell what a probe may add to what is read without contact, which may be a push after all."""
    return limit_nn - max(zero_nn, 0.0)


def _common_slope(ramps: list[NDArray[np.float64]]) -> tuple[float, float]:
    """Slope (nN/nm) that ramps have in common, each with a level of its own, and its standard deviation.

    The heights are the targets: the loop trembles about them, so that they take no part in the noise.
    """
    centred = np.vstack([ramp - ramp.mean(axis=0) for ramp in ramps])
    heights, forces = centred.T
    spread = float(heights @ heights)
    slope = float(heights @ forces) / spread
    freedom = len(centred) - len(ramps) - 1
    sd = float(np.sqrt(np.sum((forces - slope * heights) ** 2) / freedom / spread))
    return slope, sd
