"""The vertical stage: a motor that ramps its speed up and down, its encoder, its switches, and a carriage with play.

Lengths count from the home switch, upwards. What a controller calls zero is the controller's own business.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from hardware_sim.chance import Stream, generator
from hardware_sim.clock import Clock
from hardware_sim.settings import FocusSettings
from hardware_sim.trapezoid import Leg, Path, State, braking

TRAVEL_MM = (0.0, 100.0)
LIMIT_SWITCHES_MM = (-1.5, 101.5)
HOME_SWITCH_MM = 0.0
INDEX_PITCH_MM = 1.0
MAX_SPEED_MM_PER_S = 20.0
MAX_ACCELERATION_MM_PER_S2 = 80.0
EMERGENCY_DECELERATION_MM_PER_S2 = 400.0
FOLLOWING_ERROR_MM = 0.1
"""How far the stage may be from where it should be; 1000 counts."""
TOUCHING_MM = 1e-6
"""Standing on the edge of a switch does not press it."""
NAP_S = 0.01
"""How often somebody who waits for the end of a motion looks whether it was cut short."""
UM_PER_MM = 1000.0


class Trip(Enum):
    """Why the stage stopped by itself and switched its motor off."""

    FOLLOWING_ERROR = "following error"
    POSITIVE_LIMIT = "positive limit switch"
    NEGATIVE_LIMIT = "negative limit switch"


@dataclass(frozen=True)
class Stuck:
    """A time in which the stage does not follow."""

    at_mm: float
    until_s: float


class FocusDrive:
    """One motor axis; safe to ask from any thread."""

    def __init__(self, clock: Clock, settings: FocusSettings | None = None, seed: int = 0) -> None:
        self.settings = settings or FocusSettings()
        self.following_error_mm = FOLLOWING_ERROR_MM
        self._clock = clock
        self._seed = seed
        self._encoder_random = generator(seed, Stream.FOCUS_ENCODER)
        self._lock = threading.RLock()
        self._path = Path(clock.now_s(), State(self.settings.start_mm, 0.0), [])
        self._target_mm = self.settings.start_mm
        self._motion = 0
        self._motor_on = True
        self._stuck: Stuck | None = None
        self._due: tuple[float, Trip] | None = None
        self._trips: list[tuple[float, Trip]] = []
        self._fails_next = False
        self._carriage_mm = self.settings.start_mm
        self._scatter_mm = 0.0
        self._settled_s = clock.now_s()
        self._watchers: list[Callable[[], None]] = []

    def on_motion(self, callback: Callable[[], None]) -> None:
        """Call somebody back before each travel, while the stage is still where it turns round."""
        self._watchers.append(callback)

    @property
    def target_mm(self) -> float:
        """Where it heads for, or stands."""
        with self._lock:
            self._settle()
            return self._target_mm

    @property
    def motor_on(self) -> bool:
        """Whether the motor is switched on."""
        with self._lock:
            self._settle()
            return self._motor_on

    @property
    def motion(self) -> int:
        """Number of the latest motion; a stop counts as one."""
        with self._lock:
            return self._motion

    def switch_motor(self, on: bool) -> None:
        """Switch the motor; a stage that loses it while moving comes to rest as fast as it can."""
        with self._lock:
            if not on and self.is_moving():
                self.stop(EMERGENCY_DECELERATION_MM_PER_S2)
            self._settle()
            self._motor_on = on

    def move(
        self,
        target_mm: float,
        speed_mm_per_s: float,
        acceleration_mm_per_s2: float,
        deceleration_mm_per_s2: float | None = None,
    ) -> int:
        """Head for a target from wherever the stage is now; returns the number of the motion."""
        deceleration = deceleration_mm_per_s2 or acceleration_mm_per_s2
        return self.travel([Leg(target_mm, speed_mm_per_s, acceleration_mm_per_s2, deceleration)])

    def travel(self, legs: list[Leg]) -> int:
        """Go one way after the other; returns the number of the motion."""
        self._tell()
        with self._lock:
            now_s = self._settle()
            self._begin(Path.through(now_s, self._path.state(now_s), legs), legs[-1].target_mm)
            if self._fails_next:
                self._fails_next = False
                self._due = ((now_s + self._path.ends_s) / 2, Trip.FOLLOWING_ERROR)
            return self._motion

    def stop(self, deceleration_mm_per_s2: float) -> None:
        """Slow down to rest; wherever that is becomes the target."""
        with self._lock:
            now_s = self._settle()
            state = self._path.state(now_s)
            path = Path(now_s, state, braking(state, deceleration_mm_per_s2))
            self._begin(path, path.end_mm)

    def position_mm(self) -> float:
        """Where the carriage truly is."""
        with self._lock:
            self._settle()
            return self._carriage_mm + self._scatter_mm

    def encoder_mm(self) -> float:
        """Read the encoder."""
        with self._lock:
            now_s = self._settle()
            count_mm = self.settings.encoder_um / UM_PER_MM
            noise_mm = self._encoder_random.normal() * self.settings.encoder_noise_um / UM_PER_MM
            return round((self._servo(now_s).position_mm + noise_mm) / count_mm) * count_mm

    def setpoint_mm(self) -> float:
        """Where it is meant to be at this moment."""
        with self._lock:
            return self._path.state(self._settle()).position_mm

    def speed_mm_per_s(self) -> float:
        """How fast it is meant to go at this moment; negative downwards."""
        with self._lock:
            return self._path.state(self._settle()).speed_mm_per_s

    def is_moving(self) -> bool:
        """Whether its motion has not come to an end yet."""
        with self._lock:
            return self._settle() < self._path.ends_s

    def wait_for(self, motion: int) -> None:
        """Return when a motion has ended, or another has taken its place."""
        while self.motion == motion and self.is_moving():
            self._clock.sleep_until_s(min(self._path.ends_s, self._clock.now_s() + NAP_S))

    def switches(self) -> tuple[bool, bool, bool]:
        """Tell which switches are pressed: positive limit, negative limit, home."""
        with self._lock:
            at_mm = self._servo(self._settle()).position_mm
        low_mm, high_mm = LIMIT_SWITCHES_MM
        return at_mm >= high_mm, at_mm <= low_mm, at_mm <= HOME_SWITCH_MM

    def stick(self, for_s: float) -> None:
        """Let it not follow for so long; a motor that pulls too far meanwhile is switched off."""
        with self._lock:
            now_s = self._settle()
            self._stuck = Stuck(self._servo(now_s).position_mm, now_s + for_s)
            self._foresee(now_s)

    def fail_following(self) -> None:
        """End the present motion, or else the next, with a following error."""
        with self._lock:
            now_s = self._settle()
            if now_s < self._path.ends_s:
                self._due = (now_s, Trip.FOLLOWING_ERROR)
            else:
                self._fails_next = True

    def trips(self, after: int = 0) -> list[tuple[float, Trip]]:
        """List when and why it stopped by itself, without the first so many."""
        with self._lock:
            self._settle()
            return self._trips[after:]

    def _tell(self) -> None:
        """Tell the watchers; without the lock, for they ask where the stage is."""
        for watcher in self._watchers:
            watcher()

    def _begin(self, path: Path, target_mm: float) -> None:
        self._path, self._target_mm = path, target_mm
        self._motion += 1
        random = generator(self._seed, Stream.FOCUS_LANDING, [self._motion])
        self._scatter_mm = random.normal() * self.settings.scatter_um / UM_PER_MM
        self._foresee(self._settled_s)

    def _foresee(self, now_s: float) -> None:
        """Find out when this motion will end in a trip, if it will."""
        low_mm, high_mm = LIMIT_SWITCHES_MM
        here_mm = self._path.state(now_s).position_mm
        low_mm, high_mm = min(low_mm, here_mm) - TOUCHING_MM, max(high_mm, here_mm) + TOUCHING_MM
        found = []
        limit_s = self._path.leaves_s(low_mm, high_mm, now_s, self._path.ends_s)
        if limit_s is not None:
            up = self._path.state(limit_s).position_mm > here_mm
            found.append((limit_s, Trip.POSITIVE_LIMIT if up else Trip.NEGATIVE_LIMIT))
        if self._stuck is not None and now_s < self._stuck.until_s:
            low_mm, high_mm = self._stuck.at_mm - self.following_error_mm, self._stuck.at_mm + self.following_error_mm
            error_s = self._path.leaves_s(low_mm, high_mm, now_s, self._stuck.until_s)
            if error_s is not None:
                found.append((error_s, Trip.FOLLOWING_ERROR))
        self._due = min(found, key=lambda trip: trip[0], default=None)

    def _settle(self) -> float:
        """Let happen what has happened since the last look; returns the time."""
        now_s = self._clock.now_s()
        if self._due is not None and self._due[0] <= now_s:
            self._trip(*self._due)
        self._drag_carriage(now_s)
        return now_s

    def _trip(self, time_s: float, trip: Trip) -> None:
        self._drag_carriage(time_s)
        state = self._servo(time_s)
        self._path = Path(time_s, state, braking(state, EMERGENCY_DECELERATION_MM_PER_S2))
        self._target_mm = self._path.end_mm
        self._motor_on = False
        self._motion += 1
        self._trips.append((time_s, trip))
        self._due = self._stuck = None

    def _servo(self, time_s: float) -> State:
        if self._stuck is not None and time_s < self._stuck.until_s:
            return State(self._stuck.at_mm, 0.0)
        return self._path.state(time_s)

    def _drag_carriage(self, time_s: float) -> None:
        """Take the carriage along as far as the play does not swallow it."""
        if time_s <= self._settled_s:
            return
        half_mm = self.settings.play_um / UM_PER_MM / 2
        for bend_s in self._path.bends_s(self._settled_s, time_s):
            motor_mm = self._servo(bend_s).position_mm
            self._carriage_mm = float(np.clip(self._carriage_mm, motor_mm - half_mm, motor_mm + half_mm))
        self._settled_s = time_s
