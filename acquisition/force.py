"""The force on the probe during a run: engaged at the first tile, held or lifted in between, retracted at the end."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from statistics import fmean, stdev
from types import TracebackType
from typing import Self

from acquisition.force_approach import POLL_S, Approach, Coarse
from acquisition.force_budget import Budget
from acquisition.force_loop import ForceLoop, Mode
from acquisition.force_retreat import Retreat
from acquisition.heartbeat import Heartbeat
from acquisition.instructions import Instructions
from acquisition.plan import Force
from devices.errors import DeviceError, DeviceTimeout
from devices.protocols import Steerable
from devices.rig import Rig
from devices.settings import DeflectionSettings
from devices.troubles import overcoming

NOTE_EVERY_S = 10.0
"""Enough for a plot of a night; each tile's own force stands with the tile."""
ROOM = (0.1, 0.9)
"""Of the piezo's range; a contact beyond is taken up by the coarse stage at the next tile."""
LIFTED_WITHIN_UM = 0.1
LIFT_S = 1.0
"""Longest time for some micrometres of z: a piezo takes ten milliseconds."""
CYCLES_PER_STEP = 2
"""Of the regulation, between two steps of a glide: one sees the step, one acts on it."""
GLIDE_WITHIN = 0.25
"""Part of what lies between set-point and limit that may be used up before a glide waits."""
GLIDE_S = 2.0
"""Longest wait for the force between two steps of a glide."""

Note = Callable[..., None]


class ForceReadings:
    """Policy `none`: the probe stays where it is; its force is read where there is a sensor."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def prepare(self) -> None:
        """Do what the policy wants at the place of the first tile."""

    def before_step(self) -> None:
        """Get ready for a lateral move."""

    def move_to(self, targets_um: Mapping[str, float]) -> None:
        """Move sideways as the policy allows; as `Positioner.move_to`."""
        self._rig.scanner.move_to(targets_um)

    def at_tile(self) -> float | None:
        """Get ready for the exposure; returns the force in nN, None without a sensor that tells it."""
        with overcoming(DeviceError):  # nothing hangs on it: no tile is lost for a sensor that fails
            return self.reading()
        return None

    def see_held(self) -> None:
        """See that nothing has befallen the probe since `at_tile`."""

    def reading(self) -> float | None:
        """The force now, in nN; None without a sensor."""
        return self._rig.force.read_force_nn() if self._rig.force is not None else None

    def release(self) -> None:
        """Let go of the probe; may be called twice."""


class ForceControl(ForceReadings):
    """Policies `hover` and `contact`: the probe is brought to its set-point and kept there.

    Each method may raise, with the probe retracted:
        ForceTripped: the trip-wire, now or since the call before.
        NoContact: the specimen was not found.
        StillTouches: retracted, and lifted, it is not free.
        Cut, Stopped: the run was told something else.
        DeviceError: a device failed.
    """

    def __init__(
        self, rig: Rig, settings: Force, told: Instructions, note: Note, heartbeat: Heartbeat | None = None
    ) -> None:
        """Take the probe in hand; nothing moves before `prepare` or `at_tile`. Without a `heartbeat` nobody guards it.

        Raises:
            DeviceError: the stage that carries the probe does not answer.
        """
        super().__init__(rig)
        sensor = rig.settings.devices.force
        # the pre-flight check has refused other rigs
        assert isinstance(sensor, DeflectionSettings)
        assert isinstance(rig.scanner, Steerable)
        assert rig.force is not None
        self._settings = settings
        self._scanner = rig.scanner
        self._told = told
        self._note = note
        self._noted_s = -math.inf
        coarse = Coarse(rig.focus, settings.approach_um) if sensor.rides_on == "focus" and rig.focus else None
        self._loop = ForceLoop(
            rig.force,
            rig.scanner,
            Budget.of(settings, sensor),
            rig.retract,
            Retreat(rig.force, coarse, settings.limit_nn).see_free,
            self._tripped,
            heartbeat or Heartbeat.unshared(),
        )
        self._approach = Approach(self._loop, rig.scanner.limits_um["z"], coarse, told)

    def __enter__(self) -> Self:
        self._loop.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._loop.close()
        except DeviceError as trouble:
            if error is None:
                raise
            error.add_note(f"and {trouble}")  # the first error is the one to tell

    def prepare(self) -> None:
        """Approach; in `hover`, lift again."""
        self._find()
        self.before_step()

    def before_step(self) -> None:
        """In `hover`, lift the probe; in `contact`, hold it."""
        self._loop.refuse_tripped()
        if self._settings.policy == "hover" and self._loop.mode is Mode.HOLDING:
            self._lift()

    def move_to(self, targets_um: Mapping[str, float]) -> None:
        """Move sideways: at once with the probe lifted, else in steps that the regulation can follow."""
        self._loop.refuse_tripped()
        if self._loop.mode is not Mode.HOLDING:
            self._scanner.move_to(targets_um)
            return
        here_um = self._scanner.read_position_um()
        ways_um = {axis: target_um - here_um[axis] for axis, target_um in targets_um.items()}
        step_um = self._loop.held_budget.step_um / self._settings.steepest
        steps = max(math.ceil(math.hypot(*ways_um.values()) / step_um), 1)
        for step in range(1, steps):
            self._scanner.start_move({axis: here_um[axis] + way_um * step / steps for axis, way_um in ways_um.items()})
            self._let_follow()
        self._scanner.move_to(targets_um)

    def at_tile(self) -> float:
        """Bring the probe to its set-point, unless it is there; returns the mean force, in nN."""
        self._loop.refuse_tripped()
        readings_nn = self._engaged() or self._find()
        if time.monotonic() - self._noted_s > NOTE_EVERY_S:
            self._noted_s = time.monotonic()
            sd_nn = round(stdev(readings_nn), 2)
            self._note(
                "force_measured", mean_nn=round(fmean(readings_nn), 2), sd_nn=sd_nn, z_um=round(self._loop.z_um, 4)
            )
        return fmean(readings_nn)

    def see_held(self) -> None:
        """See that it was held at its set-point since `at_tile`; raises if it was not."""
        self._loop.refuse_interrupted()

    def reading(self) -> float | None:
        """Latest force above that of the free probe, in nN; asked for, if the probe is not read all the time."""
        if self._loop.mode is Mode.IDLE or (latest_nn := self._loop.force_nn) is None:
            return super().reading()
        return latest_nn

    @property
    def readings_taken(self) -> int:
        """How often the force was read and acted upon so far."""
        return self._loop.cycles

    def release(self) -> None:
        """Retract the probe; `prepare` or `at_tile` bring it back."""
        self._loop.release()

    def _find(self) -> list[float]:
        began_s = time.monotonic()
        readings_nn = self._approach.find()
        took_s = round(time.monotonic() - began_s, 3)
        z_um, baseline_nn = round(self._loop.z_um, 4), round(self._loop.baseline_nn, 2)
        self._note("force_engaged", z_um=z_um, baseline_nn=baseline_nn, took_s=took_s)
        return readings_nn

    def _engaged(self) -> list[float] | None:
        """Come to the set-point by the piezo alone; the latest readings, or None if that takes an approach."""
        if self._loop.mode is Mode.IDLE:
            return None
        watching = self._loop.mode is Mode.WATCHING
        readings_nn = self._approach.extend() if watching else self._approach.settle()
        low_um, high_um = self._scanner.limits_um["z"]
        return readings_nn if ROOM[0] < (self._loop.z_um - low_um) / (high_um - low_um) < ROOM[1] else None

    def _lift(self) -> None:
        """Take the probe off by the distance of the plan, or all the way if that does not free it."""
        self._loop.park(self._loop.z_um - self._settings.lift_um)
        give_up = time.monotonic() + LIFT_S
        while abs(self._scanner.read_position_um()["z"] - self._loop.z_um) > LIFTED_WITHIN_UM:
            if time.monotonic() > give_up:
                self._loop.release()
                raise DeviceTimeout(self._scanner.name, f"z is not at {self._loop.z_um:g} um after {LIFT_S:g} s")
            self._told.wait(POLL_S)
        if not self._approach.is_free():
            self._loop.release()

    def _let_follow(self) -> None:
        """Wait until the regulation has taken in what the last step of a glide did."""
        enough = self._loop.cycles + CYCLES_PER_STEP
        budget = self._loop.held_budget
        most_nn = budget.set_point_nn + GLIDE_WITHIN * (budget.limit_nn - budget.set_point_nn)
        self._approach.until(
            lambda: self._loop.cycles >= enough and (self._loop.force_nn or 0.0) <= most_nn,
            GLIDE_S,
            f"the force is not below {most_nn:.0f} nN",
        )

    def _tripped(self, why: str, trouble: str | None) -> None:
        with suppress(OSError):  # the engine will fail to write its next line, too, and tells it
            self._note("force_tripped", reason=why, **({"trouble": trouble} if trouble else {}))


def force_control(
    rig: Rig, settings: Force, told: Instructions, note: Note, heartbeat: Heartbeat | None = None
) -> ForceReadings:
    """Make what carries out a plan's force policy; gives the `heartbeat` of the part that holds the force.

    Raises:
        DeviceError: the stage that carries the probe does not answer.
    """
    return ForceReadings(rig) if settings.policy == "none" else ForceControl(rig, settings, told, note, heartbeat)
