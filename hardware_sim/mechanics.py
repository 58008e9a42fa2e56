"""The scanner: where its sensors say it is, and where it really is."""

import threading
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from hardware_sim.axis import Axis
from hardware_sim.chance import Stream, generator
from hardware_sim.clock import Clock
from hardware_sim.drift import Drift
from hardware_sim.landing import NM_PER_UM, LandingError
from hardware_sim.linearity import Linearity
from hardware_sim.motion import Track, Vector
from hardware_sim.sensor_noise import SensorNoise
from hardware_sim.settings import MechanicsSettings
from hardware_sim.stage_errors import Slide, bow
from hardware_sim.vibration import Vibration
from hardware_sim.wave_course import Course

TRAVEL_UM = ((0.0, 100.0), (0.0, 100.0), (0.0, 10.0))
"""P-733.3: x, y, z."""
TRAVELS_UM = np.array([high_um - low_um for low_um, high_um in TRAVEL_UM])
AXES = range(3)
LATERAL = (0, 1)
REPEATABILITY_PARTS = np.array([1.0, 1.0, 0.5])
"""P-733.3: within 2 nm along x and y, 1 nm along z."""


class Scanner:
    """Three axes, 0..2 for x, y, z; safe to ask from any thread, about the last minutes and the known future.

    The sensors report where each axis is. The true position is elsewhere, by what they do not see: the error of the
    last landing, lost motion, their linearity and hysteresis, and the drift of the specimen; and it trembles.
    Lost motion of an axis is 0 when its last move went upwards, and the whole backlash when it went downwards.
    """

    def __init__(
        self, settings: MechanicsSettings, pixel_um: float, clock: Clock, seed: int, landing: LandingError
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._landing = landing
        self._lock = threading.Lock()
        self._watchers: list[Callable[[int], None]] = []
        self._backlash_um = settings.backlash_px * pixel_um * np.array([1.0, 1.0, 0.0])
        self._axes = [Axis(axis, settings, TRAVELS_UM[axis], self._backlash_um[axis]) for axis in AXES]
        self._changed_s = [0.0 for _ in AXES]
        self._changes = 0
        self._landed = Track(Slide(0.0, np.zeros(2), np.zeros(2), self._axes[0].latest))
        self._hysteresis_um = settings.hysteresis_nm / NM_PER_UM * REPEATABILITY_PARTS
        self._linearity = Linearity(settings.linearity_error, TRAVELS_UM, seed)
        self._vibration = Vibration(settings, generator(seed, Stream.VIBRATION))
        self._sensor_noise = SensorNoise(settings.sensor_noise_nm / NM_PER_UM, generator(seed, Stream.SENSOR))
        self._drift = Drift(settings, seed)

    def on_motion(self, callback: Callable[[int], None]) -> None:
        """Call somebody back with the number of an axis after each change of its motion."""
        self._watchers.append(callback)

    def move(self, targets_um: Mapping[int, float]) -> None:
        """Head for new targets, by axis number, from wherever the stage is now."""
        with self._lock:
            now_s = self._clock.now_s()
            moved = [axis for axis, target_um in targets_um.items() if self._axes[axis].move(now_s, target_um)]
            self._note(targets_um, now_s)
            if lateral := [axis for axis in moved if axis in LATERAL]:
                self._land(now_s, lateral)
        self._tell(targets_um)

    def follow(self, axis: int, start_s: float, step_s: float, targets_um: Vector) -> None:
        """Step the target of a closed-loop axis through `targets_um` (n,), one every `step_s`; then hold the last.

        It begins at world time `start_s`, or now where that has passed.
        """
        self.run({axis: Course(np.array(targets_um, dtype=np.float64), step_s)}, start_s)

    def run(self, courses: Mapping[int, Course], start_s: float) -> float:
        """Let the targets of closed-loop axes follow their courses, all from the same moment on, which is returned.

        It is `start_s`, or now where that has passed.
        """
        with self._lock:
            begins_s = max(start_s, self._clock.now_s())
            for axis, course in courses.items():
                self._axes[axis].follow(begins_s, course)
            self._note(list(courses), begins_s)
        self._tell(courses)
        return begins_s

    def autozero(self, axis: int) -> None:
        """Drive a closed-loop axis over its range, then to 0."""
        with self._lock:
            now_s = self._clock.now_s()
            self._axes[axis].autozero(now_s)
            self._note([axis], now_s)
        self._tell([axis])

    def stop(self, axes: Iterable[int] = AXES) -> None:
        """Halt where the axes are; they then hold that position."""
        axes = list(axes)
        with self._lock:
            now_s = self._clock.now_s()
            for axis in axes:
                if self._landed.at(now_s).lead is self._axes[axis].latest:
                    landed_um = self._landed_um(np.array([now_s]))[0]
                    self._landed.begin(Slide(now_s, landed_um, landed_um, self._axes[axis].latest))
                self._axes[axis].halt(now_s)
            self._note(axes, now_s)
        self._tell(axes)

    def stick(self, axis: int, for_s: float) -> None:
        """Let an axis not follow its commands for so long; then it goes on with what it was told."""
        with self._lock:
            now_s = self._clock.now_s()
            self._axes[axis].stick(now_s, for_s)
            self._note([axis], now_s)
        self._tell([axis])

    def drift_burst(self, x_um: float, y_um: float, over_s: float) -> None:
        """Let the specimen slip away sideways."""
        self._drift.burst(np.array([x_um, y_um, 0.0]), self._clock.now_s(), over_s)
        with self._lock:
            self._changes += 1

    def set_slew(self, axis: int, slew_um_per_s: float) -> None:
        """Set the speed of the moves to come."""
        self._axes[axis].slew_um_per_s = slew_um_per_s

    def slew_um_per_s(self, axis: int) -> float:
        """Speed limit of one axis."""
        return self._axes[axis].slew_um_per_s

    def set_servo(self, axis: int, on: bool) -> None:
        """Close or open the loop of one axis; it stops where it is."""
        with self._lock:
            switch = self._axes[axis].close_loop if on else self._axes[axis].open_loop
            now_s = self._clock.now_s()
            switch(now_s)
            self._note([axis], now_s)
        self._tell([axis])

    def servo_on(self, axis: int) -> bool:
        """Whether the loop of an axis is closed."""
        return self._axes[axis].servo_on

    def set_open_loop_um(self, axis: int, um: float) -> None:
        """Drive an axis whose loop is open by the voltage that nominally moves it to `um`.

        Raises:
            ValueError: its loop is closed.
        """
        with self._lock:
            now_s = self._clock.now_s()
            self._axes[axis].drive(now_s, um)
            self._note([axis], now_s)
        self._tell([axis])

    def target_um(self) -> list[float]:
        """Where the axes are told to be now."""
        now = np.array([self._clock.now_s()])
        with self._lock:
            return [float(axis.targets_um(now)[0]) for axis in self._axes]

    def is_moving(self, axis: int) -> bool:
        """Whether an axis has not arrived yet."""
        with self._lock:
            return self._axes[axis].is_moving(self._clock.now_s())

    def is_following(self, axis: int) -> bool:
        """Whether a waveform is not at its end yet."""
        with self._lock:
            return self._axes[axis].is_following(self._clock.now_s())

    def is_autozeroing(self, axis: int) -> bool:
        """Whether an axis still looks for its zero."""
        with self._lock:
            return self._axes[axis].is_autozeroing(self._clock.now_s())

    def is_on_target(self, axis: int) -> bool:
        """Whether an axis has been inside its tolerance for the settling time."""
        with self._lock:
            return self._axes[axis].is_on_target(self._clock.now_s(), self.settings.settle_s)

    def changes(self) -> int:
        """How often something came in between so far; until it rises, what is known of the future holds."""
        with self._lock:
            return self._changes

    def changed_s(self, axis: int) -> float:
        """World time from which the latest motion of an axis holds."""
        return self._changed_s[axis]

    def moves_until_s(self, axis: int, most_s: float) -> float:
        """World time at which the latest motion of an axis has arrived, or `most_s` if that is earlier."""
        with self._lock:
            return self._axes[axis].moves_until_s(most_s)

    def settles_from_s(self, axis: int) -> float:
        """World time from which the latest motion of an axis is a way to one place; that after a wave, if it is one."""
        with self._lock:
            return self._axes[axis].settles_from_s()

    def motion_ends_s(self, axis: int) -> float:
        """World time at which the latest motion of an axis has arrived; where it saturates, the end of its reach."""
        with self._lock:
            return self._axes[axis].latest.arrives_s

    def reported_um(self, time_s: float) -> Vector:
        """What the sensors measure (x, y, z), without their noise."""
        with self._lock:
            return np.array([axis.position_um(time_s) for axis in self._axes])

    def reported_um_at(self, axis: int, times_s: Vector) -> Vector:
        """What the sensor of one axis measures at each of `times_s`, without its noise."""
        with self._lock:
            return self._axes[axis].positions_um(times_s)

    def commanded_um_at(self, axis: int, times_s: Vector) -> Vector:
        """Where an axis is told to be at each of `times_s`."""
        with self._lock:
            return self._axes[axis].targets_um(times_s)

    def sensed_um(self) -> Vector:
        """What the sensors show now (x, y, z), with their noise."""
        sensed_um: Vector = self.sensed_um_at(np.array([self._clock.now_s()]))[0]
        return sensed_um

    def sensed_um_at(self, times_s: Vector) -> Vector:
        """What the sensors show (n, 3) at each of `times_s` (n,): where the stage trembles to, and their own noise."""
        with self._lock:
            reported_um = self._reported_um(times_s)
        return reported_um + self._vibration.um_at(times_s) + self._sensor_noise.um_at(times_s)

    def true_um(self, time_s: float) -> Vector:
        """Where the stage really is (x, y, z): the centre of the camera frame sees this point of the specimen."""
        true_um: Vector = self.true_um_at(np.array([time_s]))[0]
        return true_um

    def true_um_at(self, times_s: Vector) -> Vector:
        """Where the stage really is (n, 3) at each of `times_s` (n,)."""
        with self._lock:
            reported_um = self._reported_um(times_s)
            taken_up = np.array([axis.taken_up(times_s) for axis in self._axes]).T
            landed_um = self._landed_um(times_s)
        true_um = reported_um + taken_up * self._backlash_um
        true_um += (taken_up - 0.5) * self._hysteresis_um * bow(reported_um / TRAVELS_UM)
        true_um += self._linearity.um_at(reported_um)
        true_um += self._vibration.um_at(times_s)
        true_um += self._drift.um_at(times_s)
        true_um[:, :2] += landed_um
        return true_um

    def drift_um(self, time_s: float) -> Vector:
        """How far the specimen has drifted (x, y, z) since the world began."""
        drift_um: Vector = self._drift.um_at(np.array([time_s]))[0]
        return drift_um

    def _reported_um(self, times_s: Vector) -> Vector:
        return np.array([axis.positions_um(times_s) for axis in self._axes]).T

    def _landed_um(self, times_s: Vector) -> Vector:
        return self._landed.sample(times_s, lambda slide, at_s: slide.values(at_s))

    def _land(self, now_s: float, axes: list[int]) -> None:
        """Let the error of the next landing come in with the longest of the lateral motions."""
        ended = now_s >= self._landed.at(now_s).lead.arrives_s
        before_um = self._landed_um(np.array([now_s]))[0]
        target_um = np.array([self._axes[axis].latest.target_um for axis in LATERAL])
        lead = max((self._axes[axis].latest for axis in axes), key=lambda motion: motion.arrives_s)
        self._landed.begin(Slide(now_s, before_um, self._landing.next_um(target_um, previous_ended=ended), lead))

    def _note(self, axes: Iterable[int], now_s: float) -> None:
        self._changes += 1
        for axis in axes:
            self._changed_s[axis] = now_s

    def _tell(self, axes: Iterable[int]) -> None:
        for axis in axes:
            for watcher in self._watchers:
                watcher(axis)
