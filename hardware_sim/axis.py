"""One axis of the scanner: what it was told, and what it did, does and is going to do."""

import numpy as np

from hardware_sim.approach import Approach
from hardware_sim.landing import NM_PER_UM
from hardware_sim.motion import Held, Motion, Track, Vector
from hardware_sim.piezo import Creep, Hysteresis, OpenLoop, crept_um
from hardware_sim.saturation import Saturated
from hardware_sim.settings import MechanicsSettings
from hardware_sim.stage_errors import Slide
from hardware_sim.wave import Wave
from hardware_sim.wave_course import Course
from hardware_sim.wave_play import Play

Z = 2
LEAST_PLAY_UM = 0.1
"""Way over which the direction of an axis turns over in its errors, even without backlash (a choice)."""
AUTOZERO_S = 2.0
AUTOZERO_STEP_S = 0.005
AUTOZERO_WAY = (0.0, 0.4, 0.8, 1.0), (0.0, 1.0, 0.0, 0.0)
"""Parts of that time, and of the travel where the axis is then."""
CREEPS_KEPT = 16


class Axis:
    """An axis of the scanner with its loop, its stack and its lost motion; for one thread at a time.

    Times are those of the world. No method may be told of an earlier time than the one before.
    """

    def __init__(self, number: int, settings: MechanicsSettings, travel_um: float, backlash_um: float) -> None:
        self.slew_um_per_s = settings.slew_um_per_s
        self._travel_um = travel_um
        self._constant_s = settings.time_constant_z_s if number == Z else settings.time_constant_xy_s
        self._resonance_hz = settings.resonance_z_hz if number == Z else settings.resonance_xy_hz
        self._tolerance_um = settings.tolerance_nm / NM_PER_UM
        headroom_um = settings.headroom * travel_um
        self._reach_um = (-headroom_um, travel_um + headroom_um)
        self._play_um = max(backlash_um, LEAST_PLAY_UM)
        self._free_s = 0.0  # until then it sticks
        self._stack: Hysteresis | None = None  # of an open loop
        self._stack_from_um = 0.0  # where it would be without voltage and creep
        self._zeroing: Motion | None = None
        rest = self._approach(0.0, 0.0, 0.0)
        self._motions: Track[Motion] = Track(rest)
        self._taken_up: Track[Slide | Play] = Track(Slide(0.0, np.zeros(1), np.zeros(1), rest))

    @property
    def latest(self) -> Motion:
        """The last motion that it was told."""
        return self._motions.latest

    @property
    def servo_on(self) -> bool:
        """Whether its loop is closed."""
        return self._stack is None

    def position_um(self, time_s: float) -> float:
        """What its sensor measures at one time."""
        return float(self._motions.at(time_s).positions_um(np.array([time_s]))[0])

    def positions_um(self, times_s: Vector) -> Vector:
        """What its sensor measures at each of `times_s`."""
        return self._motions.sample(times_s, lambda motion, at_s: motion.positions_um(at_s))

    def targets_um(self, times_s: Vector) -> Vector:
        """Where it is told to be at each of `times_s`."""
        return self._motions.sample(times_s, lambda motion, at_s: motion.targets_um(at_s))

    def taken_up(self, times_s: Vector) -> Vector:
        """The part of its lost motion, 0..1, that is taken up at each of `times_s`: all after moving downwards."""
        return self._taken_up.sample(times_s, lambda piece, at_s: piece.values(at_s))[:, 0]

    def is_moving(self, now_s: float) -> bool:
        """Whether it has not arrived yet."""
        motion = self._motions.at(now_s)
        return (isinstance(motion, Wave) and now_s < motion.ends_s) or now_s < motion.arrives_s

    def moves_until_s(self, most_s: float) -> float:
        """World time at which its latest motion has arrived, or `most_s` if that is earlier."""
        told = self.latest
        return most_s if isinstance(told, Wave) and most_s < told.ends_s else min(told.arrives_s, most_s)

    def settles_from_s(self) -> float:
        """World time from which its latest motion is a way to one place."""
        told = self.latest
        return told.stands_from_s if isinstance(told, Wave) else told.start_s

    def is_on_target(self, now_s: float, settle_s: float) -> bool:
        """Whether it has been inside its tolerance for the settling time."""
        return now_s >= self._motions.at(now_s).on_target_s(settle_s)

    def is_following(self, now_s: float) -> bool:
        """Whether a waveform is not at its end yet."""
        told = self.latest
        return isinstance(told, Wave) and now_s < told.ends_s

    def is_autozeroing(self, now_s: float) -> bool:
        """Whether it still looks for its zero."""
        return self._zeroing is self.latest and now_s < self.latest.arrives_s

    def move(self, now_s: float, target_um: float) -> bool:
        """Head for `target_um`; returns whether there is any way to go."""
        here_um = self.position_um(now_s)
        self._begin(self._towards(now_s, here_um, target_um))
        if target_um == here_um:
            return False
        self._slide(now_s, downwards=target_um < here_um)
        return True

    def follow(self, start_s: float, course: Course) -> None:
        """Let the target follow a course from `start_s` on."""
        like = self._approach(start_s, self.position_um(start_s), course.last_um)
        self._begin(Wave(course, start_s, like))
        self._play()

    def autozero(self, now_s: float) -> None:
        """Drive over the range, then to 0."""
        times_s = np.arange(AUTOZERO_STEP_S, AUTOZERO_S, AUTOZERO_STEP_S)
        way = np.interp(times_s / AUTOZERO_S, *AUTOZERO_WAY)
        self.follow(now_s, Course(self._travel_um * way, AUTOZERO_STEP_S))
        self._zeroing = self.latest

    def halt(self, now_s: float) -> None:
        """Stay where it is now; what it was going to do is void."""
        self._motions.cut(now_s)
        self._taken_up.cut(now_s)
        if self.servo_on and self.is_moving(now_s):
            self._rest(now_s)

    def stick(self, now_s: float, for_s: float) -> None:
        """Follow nothing for so long, then go on with what it was told or will be told until then."""
        here_um, told = self.position_um(now_s), self.latest
        self._free_s = max(self._free_s, now_s + for_s)
        self._motions.begin(Held(now_s, here_um, told))
        self._motions.begin(told.resumed(self._free_s, here_um))
        self._slide(now_s, downwards=self.latest.target_um < here_um)
        self._play()

    def close_loop(self, now_s: float) -> None:
        """Hold the place where it is."""
        if not self.servo_on:
            self._stack = None
            self._rest(now_s)

    def open_loop(self, now_s: float) -> None:
        """Keep the voltage from now on; the creep that the loop had held back goes on.

        The stack is taken to have come up from rest: how it was driven before is not known to the loop.
        """
        if not self.servo_on:
            return
        self.halt(now_s)
        last, here_um = self._motions.at(now_s), self.position_um(now_s)
        came_um = here_um - float(last.positions_um(np.array([last.start_s]))[0])
        creeps = (Creep(last.start_s, came_um),)
        base_um = here_um - float(crept_um(creeps, np.array([now_s]))[0])
        self._stack = Hysteresis(self._travel_um)
        self._stack_from_um = base_um - self._stack.drive(base_um)
        self._begin(OpenLoop(now_s, base_um, base_um, self._resonance_hz, creeps))

    def drive(self, now_s: float, nominal_um: float) -> None:
        """Set the voltage that would move a stack without hysteresis and creep to `nominal_um`.

        Raises:
            ValueError: the loop is closed.
        """
        if self._stack is None:
            raise ValueError("an axis with a closed loop is not driven")
        before, at_s = self._motions.at(now_s), np.array([now_s])
        creeps = before.creeps if isinstance(before, OpenLoop) else ()
        gone, kept = creeps[:-CREEPS_KEPT], creeps[-CREEPS_KEPT:]
        self._stack_from_um += float(crept_um(gone, at_s)[0])
        from_um = self.position_um(now_s) - float(crept_um(kept, at_s)[0])
        low_um, high_um = self._reach_um
        to_um = self._stack_from_um + self._stack.drive(min(max(nominal_um, low_um), high_um))
        step = Creep(now_s, to_um - from_um)
        self._begin(OpenLoop(now_s, from_um, to_um, self._resonance_hz, (*kept, step)))
        self._slide(now_s, downwards=to_um < from_um)

    def _approach(self, time_s: float, start_um: float, target_um: float) -> Approach:
        return Approach(time_s, start_um, target_um, self.slew_um_per_s, self._constant_s, self._tolerance_um)

    def _towards(self, time_s: float, start_um: float, target_um: float) -> Motion:
        low_um, high_um = self._reach_um
        reached_um = min(max(target_um, low_um), high_um)
        approach = self._approach(time_s, start_um, reached_um)
        return approach if reached_um == target_um else Saturated(approach, target_um)

    def _begin(self, motion: Motion) -> None:
        """Go on with a motion, or, where the axis sticks, with what is left of it afterwards."""
        if motion.start_s < self._free_s:
            here_um = float(motion.positions_um(np.array([motion.start_s]))[0])
            self._motions.begin(Held(motion.start_s, here_um, motion))
            motion = motion.resumed(self._free_s, here_um)
        self._motions.begin(motion)

    def _rest(self, now_s: float) -> None:
        here_um = self.position_um(now_s)
        rest = self._approach(now_s, here_um, here_um)
        self._motions.begin(rest)
        taken_up = self.taken_up(np.array([now_s]))
        self._taken_up.begin(Slide(now_s, taken_up, taken_up, rest))

    def _slide(self, now_s: float, downwards: bool) -> None:
        """Take up the lost motion, or give it back, as the latest motion goes."""
        before = self.taken_up(np.array([now_s]))
        self._taken_up.begin(Slide(now_s, before, np.full(1, float(downwards)), self.latest))

    def _play(self) -> None:
        """Take up the lost motion, and give it back, along the latest motion if it is a wave."""
        told = self.latest
        if isinstance(told, Wave):
            before = float(self.taken_up(np.array([told.start_s]))[0])
            self._taken_up.begin(Play(told, self._play_um, before))
