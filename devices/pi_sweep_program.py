"""One line sweep as a PI controller wants it told: wave generator, position trigger, data recorder (E-727 manual).

The wave is a straight line with rounded ends, longer than the imaged span on both sides: there the axis gets up to
speed, falls into step behind its target, and slows down again. The trigger is the controller's own, on the position
that its sensor tells; the recorder keeps that position of every axis, and the trigger line beside it.
"""

import math
from dataclasses import dataclass

from devices.protocols import Sweep

SPEED_UP_LAGS = 2.0  # the target takes this many lags of the loop to get up to speed
STEADY_LAGS = 5.0  # and the axis as many more until its speed is off by less than exp(-5), or 0.7 %
EVENNESS = 1e-6  # of the trigger spacing
MOST_WAVE_POINTS = 4096  # beyond that each point lasts longer; the generator draws straight lines between them
SPARE_WAVE_POINTS = 3  # the last point of the line, and what rounding may add to both of its parts
LINEAR_INTERPOLATION = 1  # WTR
POSITION_DISTANCE, GENERATOR = 0, 4  # CTO trigger modes
STEP, AXIS, MODE, START, STOP = 1, 2, 3, 8, 9  # CTO parameters
ACTUAL_POSITION, OUTPUT_LINE = 2, 27  # recorder options
ON_WAVE = 9  # recorder trigger source: the start of the wave generator
ALL_TABLES = 0
TABLE = 1  # the wave table that is used for all sweeps


@dataclass(frozen=True)
class Clockwork:
    """What the controller tells of itself: one servo cycle, and the samples that fit into a recorder table."""

    servo_s: float
    record_length: int


@dataclass(frozen=True)
class SweepProgram:
    """The line with its run-up, cut into the points of the wave generator."""

    sweep: Sweep
    run_up_um: float
    speed_up_s: float

    @property
    def ends_um(self) -> tuple[float, float]:
        """Where the wave begins and ends, run-up and run-out included."""
        forth = math.copysign(self.run_up_um, self.sweep.to_um - self.sweep.from_um)
        return self.sweep.from_um - forth, self.sweep.to_um + forth

    @property
    def duration_s(self) -> float:
        """From the start of the wave to its end; speeding up and slowing down cost half their time each."""
        begin_um, end_um = self.ends_um
        return abs(end_um - begin_um) / self.sweep.speed_um_per_s + self.speed_up_s

    def sample_s(self, clockwork: Clockwork) -> float:
        """Time between two samples of the recorder."""
        return clockwork.servo_s * self._record_rate(clockwork)

    def samples(self, clockwork: Clockwork) -> int:
        """How many samples the recorder has when the wave has ended."""
        return int(self.duration_s / self.sample_s(clockwork))

    def commands(self, numbers: dict[str, int], identifiers: dict[str, str], line: int, clock: Clockwork) -> list[str]:
        """Set all up and start the wave, in this order.

        Args:
            numbers: of each axis in the controller, from 1; the wave generator of an axis has its number.
            identifiers: of each axis to be recorded, in the order of the tables.
            line: of the trigger output.
        """
        generator = numbers[self.sweep.axis]
        begin_um, end_um = self.ends_um
        rate = math.ceil(self.duration_s / clock.servo_s / (MOST_WAVE_POINTS - SPARE_WAVE_POINTS))
        point_s = clock.servo_s * rate
        rounded = max(round(self.speed_up_s / point_s), 1)
        points = round(abs(end_um - begin_um) / (self.sweep.speed_um_per_s * point_s)) + rounded + 1
        wave = f"{points} {end_um - begin_um:.12g} {begin_um:.12g} {points} 0 {rounded}"
        sources = [f"{table} {axis} {ACTUAL_POSITION}" for table, axis in enumerate(identifiers.values(), 1)]
        return [
            *disarm(generator, line),
            self._trigger(identifiers[self.sweep.axis], line),
            f"RTR {self._record_rate(clock)}",
            f"DRC {' '.join(sources)} {len(sources) + 1} {line} {OUTPUT_LINE}",
            f"DRT {ALL_TABLES} {ON_WAVE} 0",
            f"WAV {TABLE} X LIN {wave}",
            f"WSL {generator} {TABLE}",
            f"WTR {generator} {rate} {LINEAR_INTERPOLATION}",
            f"WGC {generator} 1",
            f"WGO {generator} 1",
        ]

    def _record_rate(self, clockwork: Clockwork) -> int:
        return math.ceil(self.duration_s / clockwork.servo_s / clockwork.record_length)

    def _trigger(self, identifier: str, line: int) -> str:
        """Fire at the first place and at each step from there; the last threshold lies half a step beyond the last."""
        places_um = self.sweep.trigger_at_um
        forth = math.copysign(1.0, self.sweep.to_um - self.sweep.from_um)
        step_um = _step_um(self.sweep)
        settings = {
            AXIS: identifier,
            MODE: str(POSITION_DISTANCE),
            STEP: f"{step_um:.12g}",
            START: f"{places_um[0]:.12g}",
            STOP: f"{places_um[-1] + forth * step_um / 2:.12g}",
        }
        return "CTO " + " ".join(f"{line} {parameter} {value}" for parameter, value in settings.items())


def disarm(generator: int, line: int) -> list[str]:
    """Stop the generator, and leave the line low: in generator mode it follows TWS, of which TWC leaves nothing."""
    return [f"WGO {generator} 0", "TWC", f"CTO {line} {MODE} {GENERATOR}"]


def plan_sweep(sweep: Sweep, lag_s: float) -> SweepProgram:
    """Add the run-up that an axis needs which follows its target `lag_s` late.

    Raises:
        ValueError: the triggers are none, uneven, outside the line or against its direction, or there is no speed.
    """
    places_um = sweep.trigger_at_um
    low_um, high_um = sorted((sweep.from_um, sweep.to_um))
    if not (low_um < high_um and 0 < sweep.speed_um_per_s < math.inf):
        raise ValueError(f"no line at a speed: {sweep}")
    if not places_um or not all(low_um <= place <= high_um for place in places_um):
        raise ValueError(f"triggers {places_um} um are not between {low_um:g} and {high_um:g} um")
    step_um = math.copysign(_step_um(sweep), sweep.to_um - sweep.from_um)
    even_um = [places_um[0] + index * step_um for index in range(len(places_um))]
    if not step_um or any(
        abs(place - even) > EVENNESS * abs(step_um) for place, even in zip(places_um, even_um, strict=True)
    ):
        raise ValueError(f"triggers {places_um} um are not evenly spaced from {sweep.from_um:g} to {sweep.to_um:g} um")
    speed_up_s = SPEED_UP_LAGS * lag_s
    return SweepProgram(sweep, sweep.speed_um_per_s * (speed_up_s / 2 + STEADY_LAGS * lag_s), speed_up_s)


def _step_um(sweep: Sweep) -> float:
    """Spacing of the triggers; for a single one, that of the whole line."""
    places_um = sweep.trigger_at_um
    if len(places_um) == 1:
        return abs(sweep.to_um - sweep.from_um)
    return abs(places_um[-1] - places_um[0]) / (len(places_um) - 1)
