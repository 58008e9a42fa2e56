"""GCS commands that move axes, and those that ask where they are."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hardware_sim.gcs_errors import Error, Refusal
from hardware_sim.gcs_language import Command, Commands, Items, flag, number, numbered, real, switch, without_arguments
from hardware_sim.gcs_parameters import HIGHEST_UM, LOWEST_UM, ParameterMemory
from hardware_sim.mechanics import TRAVEL_UM, Scanner
from hardware_sim.on_target import OnTarget

LOWEST_V, HIGHEST_V = -20.0, 120.0  # P-733.3
LEAST_VELOCITY_UM_PER_S = 1e-3  # a choice: over the whole travel within a day or so
OPEN_LOOP_TRAVEL = 1.15  # of the closed-loop one (P-733.3: 115 of 100 um, 11.5 of 10 um)


def volts_to_um(axis: int, volts: float) -> float:
    """Say where a piezo voltage leads, without hysteresis; both ranges have the same middle (a choice)."""
    low_um, high_um = TRAVEL_UM[axis]
    part = (volts - LOWEST_V) / (HIGHEST_V - LOWEST_V) - 0.5
    return (low_um + high_um) / 2 + part * (high_um - low_um) * OPEN_LOOP_TRAVEL


Um = TypeVar("Um", float, NDArray[np.float64])


def um_to_volts(axis: int, um: Um) -> Um:
    """Say which piezo voltage leads there, without hysteresis."""
    low_um, high_um = TRAVEL_UM[axis]
    part = (um - (low_um + high_um) / 2) / ((high_um - low_um) * OPEN_LOOP_TRAVEL)
    return LOWEST_V + (part + 0.5) * (HIGHEST_V - LOWEST_V)


class AxisCommands:
    """The axes of one controller."""

    def __init__(
        self,
        axes: Items,
        scanner: Scanner,
        parameters: ParameterMemory,
        on_target: OnTarget,
        before_motion: Callable[[], None],
        has_online_switch: bool,
    ) -> None:
        self._axes = axes
        self._channels = numbered(len(axes.names), Error.INVALID_AXIS)
        self._scanner = scanner
        self._parameters = parameters
        self._on_target = on_target
        self._before_motion = before_motion
        self._has_online_switch = has_online_switch
        self._online = [not has_online_switch for _ in axes.names]
        self._autozeroed: set[int] = set()
        self._open_loop_v = [0.0 for _ in axes.names]

    def commands(self) -> Commands:
        """List the commands for axes."""
        table = self._axes.table
        scanner = self._scanner
        commands = {
            "SAI?": Command("[ALL] - Get List Of Current Axis Identifiers", self._names),
            "SVO": Command("{<AxisID> <ServoState>} - Set Servo Mode", self._set_servo),
            "SVO?": Command("[{<AxisID>}] - Get Servo Mode", lambda words: table(words, self._servo)),
            "MOV": Command("{<AxisID> <Position>} - Set Target Position", self._move_to),
            "MOV?": Command("[{<AxisID>}] - Get Target Position", self._targets),
            "MVR": Command("{<AxisID> <Distance>} - Set Target Relative To Current Target", self._move_by),
            "POS?": Command("[{<AxisID>}] - Get Real Position", self._positions),
            "ONT?": Command("[{<AxisID>}] - Get On-Target State", lambda words: table(words, self._is_on_target)),
            "TMN?": Command("[{<AxisID>}] - Get Minimum Commandable Position", self._limits(LOWEST_UM)),
            "TMX?": Command("[{<AxisID>}] - Get Maximum Commandable Position", self._limits(HIGHEST_UM)),
            "VEL": Command("{<AxisID> <Velocity>} - Set Closed-Loop Velocity", self._set_velocity),
            "VEL?": Command(
                "[{<AxisID>}] - Get Closed-Loop Velocity",
                lambda words: table(words, lambda axis: number(scanner.slew_um_per_s(axis))),
            ),
            "SVA": Command("{<AxisID> <Amplitude>} - Set Open-Loop Control Value", self._set_open_loop),
            "SVA?": Command(
                "[{<AxisID>}] - Get Open-Loop Control Value",
                lambda words: table(words, lambda axis: number(self._open_loop_v[axis])),
            ),
            "ATZ": Command("[{<AxisID> <LowValue>}] - Set Automatic Zero Point Calibration", self._autozero),
            "ATZ?": Command("[{<AxisID>}] - Get State Of Automatic Zero Point Calibration", self._is_autozeroed),
            "HLT": Command("[{<AxisID>}] - Halt Motion Smoothly", lambda words: self.stop(self._axes.indices(words))),
            "STP": Command("- Stop All Axes", without_arguments(self.stop_all)),
        }
        if self._has_online_switch:
            channels = self._channels
            commands["ONL"] = Command("{<Channel> <State>} - Set Control Mode", self._set_online)
            commands["ONL?"] = Command(
                "[{<Channel>}] - Get Control Mode",
                lambda words: channels.table(words, lambda channel: flag(self._online[channel])),
            )
        return commands

    def moving(self) -> list[int]:
        """List the axes that have not arrived."""
        return [axis for axis in range(len(self._axes.names)) if self._scanner.is_moving(axis)]

    def stop_all(self) -> None:
        """Halt everything, as #24 does."""
        self.stop(range(len(self._axes.names)))

    def stop(self, axes: Iterable[int]) -> None:
        """Halt some axes, which always leaves error 10."""
        axes = list(axes)
        self._autozeroed -= {axis for axis in axes if self._scanner.is_autozeroing(axis)}
        self._scanner.stop(axes)
        raise Refusal(Error.STOPPED)

    def refuse_busy(self, axes: Iterable[int]) -> None:
        """Refuse what must not disturb an autozero or a wave, or comes while the front panel has the say."""
        for axis in axes:
            if not self._online[axis]:
                raise Refusal(Error.NOT_ALLOWED_FOR_STAGE)
            if self._scanner.is_autozeroing(axis):
                raise Refusal(Error.AUTOZERO_RUNNING)
            if self._scanner.is_following(axis):
                raise Refusal(Error.GENERATOR_RUNNING)

    def refuse_open_loop(self, axes: Iterable[int]) -> None:
        """Refuse what needs the servo."""
        if not all(self._scanner.servo_on(axis) for axis in axes):
            raise Refusal(Error.NO_SERVO)

    def refuse_outside(self, axis: int, lowest_um: float, highest_um: float) -> None:
        """Refuse what leads out of an axis' limits."""
        low_um, high_um = (self._parameters.number(limit, axis) for limit in (LOWEST_UM, HIGHEST_UM))
        if not low_um <= lowest_um <= highest_um <= high_um:
            raise Refusal(Error.POSITION_OUT_OF_LIMITS)

    def _names(self, words: list[str]) -> list[str]:
        if [word.upper() for word in words] not in ([], ["ALL"]):
            raise Refusal(Error.WRONG_NUMBER_OF_PARAMETERS)
        return list(self._axes.names)

    def _servo(self, axis: int) -> str:
        return flag(self._scanner.servo_on(axis))

    def _is_on_target(self, axis: int) -> str:
        return flag(self._on_target.is_on_target(axis))

    def _limits(self, parameter: int) -> Callable[[list[str]], list[str]]:
        return lambda words: self._axes.table(words, lambda axis: number(self._parameters.number(parameter, axis)))

    def _targets(self, words: list[str]) -> list[str]:
        targets_um = self._scanner.target_um()
        return self._axes.table(words, lambda axis: number(targets_um[axis]))

    def _positions(self, words: list[str]) -> list[str]:
        axes = self._axes.indices(words)  # a refused query must not draw from the sensors' noise
        sensed_um = self._scanner.sensed_um()
        return [f"{self._axes.names[axis]}={number(sensed_um[axis])}" for axis in axes]

    def _reals(self, words: list[str]) -> dict[int, float]:
        return {axis: real(word) for axis, word in self._axes.pairs(words).items()}

    def _set_servo(self, words: list[str]) -> None:
        states = {axis: switch(word) for axis, word in self._axes.pairs(words).items()}
        self.refuse_busy(states)
        for axis, state in states.items():
            if state != self._scanner.servo_on(axis):
                self._scanner.set_servo(axis, state)
                self._open_loop_v[axis] = um_to_volts(axis, self._scanner.target_um()[axis])

    def _move_to(self, words: list[str]) -> None:
        self._move(self._reals(words))

    def _move_by(self, words: list[str]) -> None:
        targets_um = self._scanner.target_um()
        self._move({axis: targets_um[axis] + way_um for axis, way_um in self._reals(words).items()})

    def _move(self, targets_um: dict[int, float]) -> None:
        """Move all axes of a line, or none."""
        self.refuse_busy(targets_um)
        self.refuse_open_loop(targets_um)
        for axis, target_um in targets_um.items():
            self.refuse_outside(axis, target_um, target_um)
        self._before_motion()
        self._scanner.move(targets_um)

    def _set_velocity(self, words: list[str]) -> None:
        velocities_um_per_s = self._reals(words)
        fastest = self._scanner.settings.max_slew_um_per_s
        if not all(LEAST_VELOCITY_UM_PER_S <= velocity <= fastest for velocity in velocities_um_per_s.values()):
            raise Refusal(Error.VELOCITY_OUT_OF_LIMITS)
        for axis, velocity in velocities_um_per_s.items():
            self._scanner.set_slew(axis, velocity)

    def _set_open_loop(self, words: list[str]) -> None:
        """Put volts on piezos."""
        voltages_v = self._reals(words)
        self.refuse_busy(voltages_v)
        if any(self._scanner.servo_on(axis) for axis in voltages_v):
            raise Refusal(Error.SERVO_IS_ON)
        self._refuse_voltages(voltages_v.values())
        self._before_motion()
        for axis, volts in voltages_v.items():
            try:
                self._scanner.set_open_loop_um(axis, volts_to_um(axis, volts))
            except ValueError as error:  # another controller has just closed the loop
                raise Refusal(Error.SERVO_IS_ON) from error
            self._open_loop_v[axis] = volts

    def _refuse_voltages(self, voltages_v: Iterable[float]) -> None:
        if not all(LOWEST_V <= volts <= HIGHEST_V for volts in voltages_v):
            raise Refusal(Error.VOLTAGE_OUT_OF_LIMITS)

    def _autozero(self, words: list[str]) -> None:
        """Calibrate axes; the voltage to begin with is read, and has no further meaning here."""
        low_values = self._axes.pairs(words) if words else dict.fromkeys(self._axes.indices([]), "NaN")
        self._refuse_voltages(real(word) for word in low_values.values() if word.lower() != "nan")
        self.refuse_busy(low_values)
        self._before_motion()
        for axis in low_values:
            self._autozeroed.add(axis)
            self._scanner.autozero(axis)

    def _is_autozeroed(self, words: list[str]) -> list[str]:
        return self._axes.table(
            words, lambda axis: flag(axis in self._autozeroed and not self._scanner.is_autozeroing(axis))
        )

    def _set_online(self, words: list[str]) -> None:
        states = {channel: switch(word) for channel, word in self._channels.pairs(words).items()}
        for channel, state in states.items():
            self._online[channel] = state
