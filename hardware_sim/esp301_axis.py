"""One axis of an ESP301: its settings, its zero, and what its commands do to the stage.

Settings are kept in mm and s; what goes over the wire is in the unit that SN chose.
"""

import math
from collections.abc import Callable

from hardware_sim.esp301_errors import (
    AXIS_PARAMETER_OUT_OF_RANGE,
    FOLLOWING_ERROR,
    HOMING_ABORTED,
    INVALID_TRAJECTORY_MODE,
    MOTOR_OFF,
    NEGATIVE_HARDWARE_LIMIT,
    NEGATIVE_SOFTWARE_LIMIT,
    NOT_WHILE_HOMING,
    PARAMETER_OUT_OF_RANGE,
    POSITIVE_HARDWARE_LIMIT,
    POSITIVE_SOFTWARE_LIMIT,
    PROTECTED,
    AxisRefusal,
    Refusal,
)
from hardware_sim.esp301_grammar import bits, hexadecimal, number, whole
from hardware_sim.esp301_settings import LENGTHS, ROUNDING, TRAPEZOIDAL, AxisSettings, refuse_unless
from hardware_sim.focus_drive import (
    LIMIT_SWITCHES_MM,
    UM_PER_MM,
    FocusDrive,
    Trip,
)
from hardware_sim.homing import search
from hardware_sim.trapezoid import Leg

STAGE = "IMS100V, SN1263"
COUNTS = 0
MM_PER_UNIT = {2: 1.0, 3: 1e-3, 4: 25.4, 5: 0.0254, 6: 25.4e-6}
"""By the number that SN takes: mm, um, inch, mil, microinch; 0 are encoder counts, the others turn."""
BEYOND_THE_SWITCH_MM = 10.0
CHECKED = 1
"""Bit 0 of ZF and ZS: whether the controller looks at following errors, and at software limits."""
TRIP_ERRORS = {
    Trip.FOLLOWING_ERROR: FOLLOWING_ERROR,
    Trip.POSITIVE_LIMIT: POSITIVE_HARDWARE_LIMIT,
    Trip.NEGATIVE_LIMIT: NEGATIVE_HARDWARE_LIMIT,
}


class Esp301Axis:
    """The connected axis; `post` tells the controller of an error that nobody asked for."""

    def __init__(self, drive: FocusDrive, post: Callable[[int, float], None], now_s: Callable[[], float]) -> None:
        self.settings = AxisSettings()
        self._drive = drive
        self._post = post
        self._now_s = now_s
        self._origin_mm = 0.0  # where the drive is when the axis says 0
        self._homing: int | None = None  # the motion that searches for home
        self._jogging: tuple[int, int] | None = None  # the motion without a target, and the error at its end
        self._trips_seen = len(drive.trips())
        self._saved = self.settings.copy()

    def look(self) -> None:
        """Notice what came of the motion since the last command."""
        trips = self._drive.trips(self._trips_seen)
        self._trips_seen += len(trips)
        for time_s, trip in trips:
            self._post(TRIP_ERRORS[trip], time_s)
        moving, motion = self._drive.is_moving(), self._drive.motion
        if self._homing is not None and self._homing != motion:
            self._homing = None
            self._post(HOMING_ABORTED, self._now_s())
        elif self._homing is not None and not moving:
            self._homing = None
            self._origin_mm = self._drive.target_mm - self.settings.home_preset
        if self._jogging is not None and self._jogging[0] != motion:
            self._jogging = None
        elif self._jogging is not None and not moving:
            self._post(self._jogging[1], self._now_s())
            self._jogging = None

    @property
    def motor_on(self) -> bool:
        """Whether the motor has power."""
        return self._drive.motor_on

    @property
    def is_moving(self) -> bool:
        """Whether a trajectory is being carried out."""
        return self._drive.is_moving()

    @property
    def is_jogging(self) -> bool:
        """Whether that trajectory has no target."""
        return self._jogging is not None

    def switches(self) -> tuple[bool, bool, bool]:
        """Tell which are pressed: positive limit, negative limit, home."""
        return self._drive.switches()

    def stop(self) -> None:
        """Slow down and rest (ST)."""
        self._drive.stop(self.settings.deceleration)

    def abort(self) -> None:
        """Rest as soon as possible (AB)."""
        self._drive.stop(self.settings.emergency_deceleration)

    def switch_motor(self, on: bool) -> None:
        """Carry out MO and MF."""
        self._drive.switch_motor(on)

    def wait_for_stop(self) -> None:
        """Return when it rests."""
        while self._drive.is_moving():
            self._drive.wait_for(self._drive.motion)

    def has_passed(self, parameter: str) -> Callable[[], bool]:
        """Make the question whether a position on the way has been passed."""
        position_mm = number(parameter) * self._unit_mm() + self._origin_mm
        ahead = position_mm > self._drive.encoder_mm()

        def passed() -> bool:
            return (self._drive.encoder_mm() >= position_mm) == ahead

        return passed

    def save(self) -> None:
        """Keep the settings for a reset (SM)."""
        self._saved = self.settings.copy()

    def reset(self) -> None:
        """Begin as after power-up: motor off, settings as they were saved (RS)."""
        self._drive.switch_motor(False)
        self._homing = self._jogging = None
        self.settings = self._saved.copy()
        self._tell_drive()

    def ask(self, name: str) -> str:
        """Answer `nXX?`; those that cannot be asked are out of range."""
        settings, drive = self.settings, self._drive
        if name in settings.words:
            return hexadecimal(settings.words[name])
        if name in LENGTHS:
            return self._spoken(getattr(settings, LENGTHS[name]))
        match name:
            case "ID":
                return STAGE
            case "TP":
                return self._spoken(drive.encoder_mm() - self._origin_mm)
            case "DP" | "PA":
                return self._spoken(drive.target_mm - self._origin_mm)
            case "DV":
                return self._spoken(drive.speed_mm_per_s())
            case "MD":
                return str(int(not drive.is_moving()))
            case "MO":
                return str(int(drive.motor_on))
            case "SN":
                return str(settings.unit)
            case "FP":
                return str(settings.decimals_shown)
            case "TJ":
                return str(settings.trajectory)
            case "SU" | "FR":
                return self._spoken(drive.settings.encoder_um / UM_PER_MM)
        raise Refusal(PARAMETER_OUT_OF_RANGE)

    def order(self, name: str, parameter: str) -> None:
        """Carry out a command that has an axis."""
        settings = self.settings
        if name in settings.words:
            settings.words[name] = bits(parameter)
            self._tell_drive()
            return
        if name in LENGTHS:
            settings.set_length(name, number(parameter) * self._unit_mm())
            self._tell_drive()
            return
        match name:
            case "PA":
                self._go(number(parameter) * self._unit_mm() + self._origin_mm)
            case "PR":
                self._go(number(parameter) * self._unit_mm() + self._drive.target_mm)
            case "MV" | "MT":
                self._run(name, _sign(parameter))
            case "OR":
                self._search_home(whole(parameter or "1", 0, 6))
            case "DH":
                self._refuse_while_homing()
                value = number(parameter) if parameter else 0.0
                self._origin_mm = self._drive.setpoint_mm() - value * self._unit_mm()
            case "SN":
                settings.unit = self._known_unit(number(parameter))
            case "FP":
                settings.decimals_shown = whole(parameter, 0, 6)
            case "TJ":
                if number(parameter) != TRAPEZOIDAL:
                    raise AxisRefusal(INVALID_TRAJECTORY_MODE)
            case "SU" | "FR":
                number(parameter)
                raise AxisRefusal(PROTECTED)  # an ESP-compatible stage brings its own
            case "UF" | "QD":
                self._refuse_while_homing()
            case _:
                raise Refusal(PARAMETER_OUT_OF_RANGE)

    def _tell_drive(self) -> None:
        checked = self.settings.words["ZF"] & CHECKED
        self._drive.following_error_mm = self.settings.following_error if checked else math.inf

    def _go(self, target_mm: float) -> None:
        self._refuse_if_not_ready()
        target = target_mm - self._origin_mm
        if self.settings.words["ZS"] & CHECKED:
            refuse_unless(target <= self.settings.high + ROUNDING, POSITIVE_SOFTWARE_LIMIT)
            refuse_unless(target >= self.settings.low - ROUNDING, NEGATIVE_SOFTWARE_LIMIT)
        self._drive.travel([self._leg(target_mm, self.settings.speed)])

    def _run(self, name: str, direction: int) -> None:
        """Move until a limit ends it: MV ends at a software limit, MT at the switch."""
        self._refuse_if_not_ready()
        settings = self.settings
        switch_mm = LIMIT_SWITCHES_MM[direction > 0] + direction * BEYOND_THE_SWITCH_MM
        if name == "MT":
            self._drive.travel([self._leg(switch_mm, settings.home_speed)])
            return
        error = POSITIVE_SOFTWARE_LIMIT if direction > 0 else NEGATIVE_SOFTWARE_LIMIT
        end_mm = (settings.high if direction > 0 else settings.low) + self._origin_mm
        if not settings.words["ZS"] & CHECKED:
            end_mm = switch_mm
        refuse_unless((end_mm - self._drive.target_mm) * direction > ROUNDING, error)
        self._jogging = (self._drive.travel([self._leg(end_mm, settings.speed)]), error)

    def _search_home(self, mode: int) -> None:
        self._refuse_if_not_ready()
        if mode == 0:
            self._homing = self._drive.travel([self._leg(self._origin_mm, self.settings.home_speed)])
            return
        leg = self._leg(0.0, self.settings.home_speed)
        self._homing = self._drive.travel(search(mode, self._drive.encoder_mm(), leg))

    def _leg(self, target_mm: float, speed: float) -> Leg:
        return Leg(target_mm, speed, self.settings.acceleration, self.settings.deceleration)

    def _refuse_if_not_ready(self) -> None:
        refuse_unless(self._drive.motor_on, MOTOR_OFF)
        self._refuse_while_homing()

    def _refuse_while_homing(self) -> None:
        refuse_unless(self._homing is None, NOT_WHILE_HOMING)

    def _known_unit(self, unit: float) -> int:
        refuse_unless(unit == COUNTS or unit in MM_PER_UNIT, AXIS_PARAMETER_OUT_OF_RANGE)
        return int(unit)

    def _unit_mm(self) -> float:
        return MM_PER_UNIT.get(self.settings.unit, self._drive.settings.encoder_um / UM_PER_MM)

    def _spoken(self, length_mm: float) -> str:
        return f"{round(length_mm / self._unit_mm(), 6) + 0.0:.6f}"  # + 0.0 makes -0 a 0


def _sign(parameter: str) -> int:
    if parameter in ("+", "-"):
        return 1 if parameter == "+" else -1
    number(parameter)  # tells a missing parameter from a wrong one
    raise Refusal(PARAMETER_OUT_OF_RANGE)
