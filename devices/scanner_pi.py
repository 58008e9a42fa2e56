"""PI piezo scanner, GCS 2.0 over TCP (E-727 and E-517 command sets).

Connecting sends queries only: no servo switch, no autozero, so a probe near a surface is safe. A rig file that wants
more says so in `start_up`.
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from devices import gcs_answers
from devices.errors import DeviceError, DeviceRejected, OutOfRange, ProtocolError
from devices.moves import SLOWEST_FACTOR, Move, allowed_s, arrived, plausible, refuse_outside, tighter, usable_speed
from devices.moving_axes import MovingAxes
from devices.pi_connection import STOPPED_BY_COMMAND, PiConnection
from devices.pi_sweep_program import plan_sweep
from devices.pi_sweeps import PiSweeps
from devices.protocols import Sweep
from devices.settings import PiGcsSettings
from devices.troubles import overcoming

NO_LIMITS = (-math.inf, math.inf)
ERROR_EVERY_S = 0.005  # of a move under way: a controller that gave it up says so, and ONT? would never come true
AUTOZERO_S = 30.0  # ATZ goes over the whole travel at a pace of the controller's own

T = TypeVar("T")


class PiScanner(MovingAxes):
    """Axes of one PI controller; fulfils `Positioner`, `Homing`, `LineScanner` and `Steerable`."""

    stop_code = STOPPED_BY_COMMAND

    def __init__(self, name: str, settings: PiGcsSettings) -> None:
        """Connect and read limits and speeds; move nothing that `settings.start_up` does not ask for.

        Raises:
            DeviceLost: no connection.
            OutOfRange: the rig file's limits share nothing with the controller's.
            DeviceRejected: a step of the start-up was refused.
        """
        super().__init__()
        self.name = name
        self.axes = tuple(settings.axes)
        self._settings = settings
        self._identifiers: dict[str, str] = dict(settings.axes.items())
        self._connection = PiConnection(name, settings.host, settings.port, settings.answer_s)
        self._sweeps = PiSweeps(self._connection, settings)
        self._sweep: Move | None = None
        self._refused_errors_at = -math.inf
        try:
            if "online" in settings.start_up:
                self._switch_online()
            self._travel_um = self._read_travel_um()
            self.limits_um: dict[str, tuple[float, float]] = {
                axis: tighter(name, axis, settings.limits_um.get(axis, NO_LIMITS), self._travel_um[axis])
                for axis in settings.axes
            }
            self._speeds_um_per_s = self._read_speeds_um_per_s()
            self._sent_to_um = self.read_position_um()
            if "servo" in settings.start_up:
                self._connection.tell(f"SVO {self._for_each_axis('1')}")
            if "autozero" in settings.start_up:
                self._home_at_connecting()
        except DeviceError:
            self.close()
            raise

    def read_position_um(self) -> dict[str, float]:
        """Ask POS? for all axes."""
        return self._connection.ask("POS?", self._positions_um)

    def home(self) -> None:
        """Run the autozero (ATZ), which takes every axis over its whole travel; see `Homing`.

        Raises:
            DeviceRejected: a servo is off; nothing was sent.
        """
        stop_token = self._stop_token
        servos = self._ask_flags("SVO?")
        if not all(servos.values()):
            raise DeviceRejected(self.name, "autozero needs the servo on, on every axis")
        self._connection.tell(f"ATZ {self._for_each_axis('NaN')}", lambda: self._refuse_after_stop(stop_token))
        self._finish(Move({}, AUTOZERO_S, time.monotonic() + AUTOZERO_S, stop_token), self._is_zeroed)

    def sweep_ends_um(self, sweep: Sweep) -> tuple[float, float]:
        """Add the run-up to both ends of the line; see `LineScanner`."""
        if sweep.axis not in self.axes:
            raise OutOfRange(self.name, f"no axis {sweep.axis} (axes: {', '.join(self.axes)})")
        if sweep.speed_um_per_s > (fastest := self._speeds_um_per_s[sweep.axis]):
            raise OutOfRange(self.name, f"{sweep.axis} goes {fastest:g} um/s, not {sweep.speed_um_per_s:g} um/s")
        return self._settings.sweep_ends_um(sweep)

    def start_sweep(self, sweep: Sweep) -> None:
        """Send the axis to the beginning of its run-up, and start the wave generator; see `LineScanner`."""
        stop_token = self._stop_token
        for end_um in self.sweep_ends_um(sweep):
            refuse_outside(self.name, {sweep.axis: end_um}, self.limits_um)
        program = plan_sweep(sweep, self._settings.lag_s)
        begin_um, end_um = program.ends_um
        self.move_to({sweep.axis: begin_um})
        self._sweeps.start(program, lambda: self._refuse_after_stop(stop_token))
        allowed = SLOWEST_FACTOR * program.duration_s + self._settings.settle_s
        self._sweep = Move({sweep.axis: end_um}, allowed, time.monotonic() + allowed, stop_token)

    def wait_swept(self) -> None:
        """Ask #9 until the generator has ended; see `LineScanner`."""
        if self._sweep is None:
            return
        try:
            self._finish(self._sweep, self._has_swept)
        except DeviceError:
            with overcoming(DeviceError):  # the first error is the one to raise
                self._sweeps.disarm()
            raise
        self._sweeps.disarm()

    def read_swept_um(self, delay_s: float = 0.0) -> list[dict[str, float]]:
        """Read the recorder; see `LineScanner`."""
        return self._sweeps.read_um(delay_s)

    def steer(self, axis: str) -> Callable[[float], None]:
        """Send MOV and its ERR? in one write; see `Steerable`."""
        stop_token = self._stop_token

        def to(target_um: float) -> None:
            self._connection.tell(self._mov(axis, target_um), lambda: self._refuse_after_stop(stop_token))

        return to

    def steer_past(self, axis: str, target_um: float) -> None:
        """Send MOV over a second connection; see `Steerable`."""
        self._connection.tell_beside(self._mov(axis, target_um))

    def _mov(self, axis: str, target_um: float) -> str:
        refuse_outside(self.name, {axis: target_um}, self.limits_um)
        return f"MOV {self._identifiers[axis]} {target_um:.12g}"

    def stop(self) -> None:
        """Send #24, which also ends a sweep and an autozero; see `Positioner`."""
        self._stop_token = object()
        self._connection.stop_all()
        self._sweeps.disarm()

    def close(self) -> None:
        """Close the connection; axes and servo stay as they are."""
        self._connection.close()

    def _begin(self, targets_um: Mapping[str, float]) -> Move:
        stop_token = self._stop_token
        refuse_outside(self.name, targets_um, self.limits_um)
        targets = {axis: float(target) for axis, target in targets_um.items()}
        if targets:
            pairs = " ".join(f"{self._identifiers[axis]} {target:.12g}" for axis, target in targets.items())
            self._connection.tell(f"MOV {pairs}", lambda: self._refuse_after_stop(stop_token))
        ways = {axis: target - self._sent_to_um[axis] for axis, target in targets.items()}
        self._sent_to_um |= targets
        position = self.read_position_um()  # they are on their way meanwhile, so it may be as near as that by now
        distances = {axis: max(abs(way), abs(targets[axis] - position[axis])) for axis, way in ways.items()}
        allowed = allowed_s(distances, self.limits_um, self._speeds_um_per_s, self._settings.settle_s)
        return Move(targets, allowed, time.monotonic() + allowed, stop_token, ways)

    def _is_settled(self, move: Move) -> bool:
        """Ask ONT?, now and then ERR?, and POS?: a stop by somebody else makes the place of the stop the target."""
        self._refuse_after_stop(move.stop_token)
        flags = self._ask_flags("ONT?")
        on_target = all(flags[axis] for axis in move.targets_um)
        if on_target or time.monotonic() - self._refused_errors_at > ERROR_EVERY_S:
            self._connection.refuse_error("motion")
            self._refused_errors_at = time.monotonic()
        there = on_target and arrived(self.read_position_um(), move.targets_um, self._settings.arrival_tolerance_um)
        self._refuse_after_stop(move.stop_token)
        return there

    def _is_zeroed(self, move: Move) -> bool:
        self._refuse_after_stop(move.stop_token)
        ended = self._connection.ask("\x07", gcs_answers.ready) and all(self._ask_flags("ATZ?").values())
        self._connection.refuse_error("autozero")
        self._refuse_after_stop(move.stop_token)
        return ended

    def _has_swept(self, move: Move) -> bool:
        self._refuse_after_stop(move.stop_token)
        running = self._sweeps.is_running()
        self._connection.refuse_error("sweep")
        self._refuse_after_stop(move.stop_token)
        return not running

    def _switch_online(self) -> None:
        numbers = self._sweeps.axis_numbers()
        channels = " ".join(f"{numbers[axis]} 1" for axis in self.axes)
        self._connection.tell(f"ONL {channels}")

    def _for_each_axis(self, value: str) -> str:
        return " ".join(f"{identifier} {value}" for identifier in self._identifiers.values())

    def _read_travel_um(self) -> dict[str, tuple[float, float]]:
        lowest, highest = self._ask_values("TMN?"), self._ask_values("TMX?")
        return {axis: (lowest[axis], highest[axis]) for axis in self.axes}

    def _read_speeds_um_per_s(self) -> dict[str, float]:
        if (speed := self._settings.speed_um_per_s) is not None:
            return dict.fromkeys(self.axes, speed)
        speeds = self._ask_values("VEL?")
        if not all(usable_speed(speed) for speed in speeds.values()):
            raise ProtocolError(self.name, f"VEL? answered {speeds}; set speed_um_per_s in the rig file")
        return speeds

    def _positions_um(self, answer: str) -> dict[str, float]:
        return plausible(self._ours(gcs_answers.values(answer)), self._travel_um)

    def _ask_values(self, query: str) -> dict[str, float]:
        return self._connection.ask(query, lambda answer: self._ours(gcs_answers.values(answer)))

    def _ask_flags(self, query: str) -> dict[str, bool]:
        return self._connection.ask(query, lambda answer: self._ours(gcs_answers.flags(answer)))

    def _ours(self, table: dict[str, T]) -> dict[str, T]:
        """Pick our axes by the names in the answer; asked for all, a controller may have more of them."""
        if missing := set(self._identifiers.values()) - table.keys():
            raise ValueError(f"nothing about {', '.join(sorted(missing))}")
        return {axis: table[identifier] for axis, identifier in self._identifiers.items()}
