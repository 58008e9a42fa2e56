"""From far away to the set-point: the woodpecker's way.

With the piezo retracted the coarse stage takes one step towards the specimen; then the piezo feels its way out, step by
step, and goes back if there is nothing. So whatever the coarse stage overshoots meets no specimen.
"""

import time
from collections.abc import Callable
from statistics import fmean, stdev

from acquisition.force_budget import BASELINE_PART
from acquisition.force_errors import NoContact
from acquisition.force_loop import READING_WITHIN_S, RECENT, ForceLoop, Mode
from acquisition.instructions import Cut, Instructions
from devices.errors import DeviceError, DeviceTimeout
from devices.protocols import Positioner
from devices.troubles import overcoming

POLL_S = 0.002
COARSE_PART = 0.4
"""Of the piezo's range: less than half, so that no specimen is stepped over whatever the stage's scatter."""
MIDDLE = (0.25, 0.75)
"""Of the piezo's range, where a contact has room both ways; elsewhere the coarse stage takes up the difference."""
PLAY_UM = 10.0
"""The coarse stage goes up so much too far, and then down: every way ends towards the specimen, its play taken up."""
LIFT_UM = 2 * PLAY_UM
"""So much the coarse stage goes up to free the probe: past its play, and what adhesion pulls (0.83 um in air)."""
FAR_WITHIN_UM = 5.0
"""Of where it was sent to; coarse stages are not exact."""
DOUBTFUL = 0.5
"""Of the set-point: a baseline so far from where it was known to be one may be a contact."""
SIGMAS = 6.0
"""Of the baseline's noise: among the thousand readings of an approach none comes so far by chance."""
LEAST_THRESHOLD = 0.1
"""Of the set-point, where the noise is less than that."""
SETTLED_WITHIN = 0.02
"""Of the set-point, the mean of the latest readings."""
SETTLING_S = 2.0
"""Some hundred times the time constant of the regulation."""


class Coarse:
    """The stage that carries the probe; its z upwards is away from the specimen."""

    def __init__(self, stage: Positioner, reach_um: float) -> None:
        self._stage = stage
        self._reach_um = reach_um
        self._start_um = stage.read_position_um()["z"]

    def lower(self, by_um: float) -> None:
        """Come nearer; with a negative `by_um` go away, and come down the last of it.

        Raises:
            NoContact: that is further than the plan allows, or than the stage goes.
            DeviceError: the stage did not get there.
        """
        here_um, (lowest_um, highest_um) = self._stage.read_position_um()["z"], self._stage.limits_um["z"]
        target_um = here_um - by_um
        if target_um < max(self._start_um - self._reach_um, lowest_um):
            raise NoContact(
                self._stage.name,
                f"no contact down to {here_um:g} um, begun at {self._start_um:g} um; "
                f"force.approach_um = {self._reach_um:g} allows no further step of {by_um:g} um",
            )
        if by_um < 0:
            self._stage.move_to({"z": min(target_um + PLAY_UM, highest_um)})
        self._stage.move_to({"z": target_um})

    def lift(self) -> None:
        """Go away by `LIFT_UM`, to free the probe; the next way down begins with the play.

        Raises:
            DeviceError: that is further than the stage goes, or it did not get there.
        """
        self._stage.move_to({"z": self._stage.read_position_um()["z"] + LIFT_UM})

    def lift_far(self) -> None:
        """Go as far above where it began as the plan allows it to go below, or to the end of its travel.

        Raises:
            DeviceError: it did not get there.
        """
        if not self.is_far:
            self._stage.move_to({"z": self._far_um})

    @property
    def is_far(self) -> bool:
        """Whether it is up there already; no answer is no."""
        with overcoming(DeviceError):
            return self._stage.read_position_um()["z"] >= self._far_um - FAR_WITHIN_UM
        return False

    @property
    def _far_um(self) -> float:
        return min(self._start_um + self._reach_um, self._stage.limits_um["z"][1])


class Approach:
    """Brings the probe of one loop to its set-point; the piezo is retracted before every coarse step."""

    def __init__(
        self, loop: ForceLoop, piezo_um: tuple[float, float], coarse: Coarse | None, told: Instructions
    ) -> None:
        """Take note of everything; `piezo_um` are the lower and upper limit of the piezo's z."""
        self._loop = loop
        self._low_um, self._high_um = piezo_um
        self._range_um = self._high_um - self._low_um
        self._coarse = coarse
        self._told = told
        self._free_nn = 0.0  # what the detector tells without contact, as far as that is known

    def find(self) -> list[float]:
        """Retract, find the specimen, and settle at the set-point with room for the piezo both ways.

        Returns the latest readings there, in nN.

        Raises:
            NoContact: it is not there, or the detector is off its zero.
            StillTouches: the probe cannot be freed to begin with.
            ForceTripped: the trip-wire.
            Cut, Stopped: somebody wants something else.
        """
        self._loop.release()
        self._get_free()
        while (readings_nn := self.extend()) is None:
            self._loop.release()
            if self._coarse is None:
                raise NoContact(self._loop.name, f"no contact with scanner z at {self._low_um:g}..{self._high_um:g} um")
            self._coarse.lower(COARSE_PART * self._range_um)
        low_um, high_um = (self._low_um + part * self._range_um for part in MIDDLE)
        if self._coarse is None or low_um <= self._loop.z_um <= high_um:
            return readings_nn
        above_um = self._loop.z_um - (low_um + high_um) / 2
        self._loop.release()
        self._coarse.lower(above_um)
        if (readings_nn := self.extend()) is None:
            self._loop.release()
            raise NoContact(self._loop.name, f"lost when the coarse stage moved by {-above_um:.3g} um")
        return readings_nn

    def _get_free(self) -> None:
        """Lift a probe that may touch though it is retracted; what is read then is the detector's own offset."""
        if self._coarse is None:
            return
        self._loop.watch()
        if abs(fmean(self._free_readings_nn()) - self._free_nn) <= DOUBTFUL * self._loop.budget.set_point_nn:
            return
        self._loop.release()
        self._coarse.lift()
        self._loop.watch()
        self._free_nn = fmean(self._free_readings_nn())

    def extend(self) -> list[float] | None:
        """Feel the way from where z stands to the set-point; the readings there, None if z ended before."""
        if self._loop.mode is not Mode.WATCHING:
            self._loop.watch()
        self._loop.hold(*self._baseline())
        steps = self._range_um / self._loop.budget.step_um
        self.until(lambda: self._loop.touched or self._loop.at_top, steps * READING_WITHIN_S, "no end of the approach")
        return self.settle() if self._loop.touched else None

    def is_free(self) -> bool:
        """Watch the force with z standing still; whether it is what it was before the probe touched."""
        self._loop.watch()
        self.until(lambda: self._loop.force_nn is not None, RECENT * READING_WITHIN_S, "no reading")
        free_nn, budget = self._loop.force_nn or 0.0, self._loop.budget
        return abs(free_nn - self._loop.baseline_nn) < budget.set_point_nn / 2

    def settle(self) -> list[float] | None:
        """Wait until the mean force is that of the set-point; its readings, or None if z cannot follow so far."""
        set_point_nn = self._loop.budget.set_point_nn
        readings_nn: list[float] = []
        self._loop.forget_recent()

        def settled() -> bool:
            readings_nn[:] = self._loop.recent_nn()
            if readings_nn and abs(fmean(readings_nn) - set_point_nn) <= SETTLED_WITHIN * set_point_nn:
                return True
            if readings_nn:
                self._loop.forget_recent()  # a mean over what was before and after a correction says nothing
            return self._loop.at_top

        self.until(settled, SETTLING_S, f"the force is not within {SETTLED_WITHIN:.0%} of {set_point_nn:g} nN")
        return None if self._loop.at_top else readings_nn

    def _baseline(self) -> tuple[float, float]:
        """Tell what is read without contact, and what differs enough from it to be one, in nN."""
        budget = self._loop.budget
        readings_nn = self._free_readings_nn()
        baseline_nn = fmean(readings_nn)
        threshold_nn = max(SIGMAS * stdev(readings_nn), LEAST_THRESHOLD * budget.set_point_nn)
        problem = ""
        if abs(baseline_nn) > BASELINE_PART * budget.limit_nn or not budget.above(baseline_nn).is_enough:
            problem = f"{baseline_nn:.0f} nN with the probe retracted: it touches already, or its offset_v is wrong"
        elif threshold_nn > budget.set_point_nn / 2:
            problem = f"noise of {stdev(readings_nn):.3g} nN is too much for a set-point of {budget.set_point_nn:g} nN"
        if problem:
            self._loop.release()
            raise NoContact(self._loop.name, problem)
        return baseline_nn, threshold_nn

    def _free_readings_nn(self) -> list[float]:
        self.until(lambda: bool(self._loop.recent_nn()), RECENT * READING_WITHIN_S, "no baseline")
        return self._loop.recent_nn()

    def until(self, condition: Callable[[], bool], allowed_s: float, otherwise: str) -> None:
        """Look again and again until the loop has come so far; retract if it does not, or is told to stop."""
        give_up = time.monotonic() + allowed_s
        while not condition():
            self._loop.refuse_interrupted()
            if time.monotonic() > give_up:
                self._loop.release()
                raise DeviceTimeout(self._loop.name, f"{otherwise} after {allowed_s:.3g} s")
            try:
                self._told.wait(POLL_S)
            except Cut:
                self._loop.release()
                raise
