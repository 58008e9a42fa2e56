"""Regulation of the force, and the trip-wire: a thread that reads the force and steers z, some hundred times a second.

While the probe is watched or held, each reading that is over the limit, saturated, stale or missing retracts it first,
and is told afterwards. A second thread does the same when the first one gets no reading at all.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from statistics import fmean

from acquisition.force_budget import NM_PER_UM, Budget
from acquisition.force_errors import ForceTripped, StillTouches
from acquisition.heartbeat import Heartbeat
from devices.errors import DeviceError, DeviceTimeout, Stopped
from devices.protocols import ForceSensor, Steerable

GAIN = 0.3
"""Part of an error that is taken out between two readings: z answers within a period (1 ms), so nothing rings."""
CALM = 0.1
"""Of the set-point. What is nearer is mostly the trembling of the stage, 0.5 nm or 4 % of 500 nN, which regulation
would only add to: there the mean of some readings is taken out at once."""
CALM_READINGS = (16, 80)
"""The first mean after z was moved, and the longest: while it stands, each is over twice as many as the one before."""
RESOLUTION_UM = 0.0003
"""Of z (P-733.3). What is less is saved up: each reversal, however small, runs through the stage's hysteresis."""
CONTACT_READINGS = 3
"""So many in a row beyond the threshold are a contact; a single one is noise."""
RECENT = 20
"""Readings that a mean, and a baseline, are taken over: 50 ms."""
READING_WITHIN_S = 0.15
"""A regulation that hears nothing for so long is blind, and retracts before the guardian (0.2 s) takes it for dead.
Meanwhile nothing moves by itself but drift: a glide waits for the regulation at every step."""
LOOKS = 4
"""Of the trip-wire within that time."""
STUCK_S = 0.01
"""An exchange with the scanner that takes longer is stuck."""
RETRACT_S = 20.0
"""Longest time in which a probe that is being retracted may be waited for: z over its travel, tried twice, and the
coarse stage twice."""


class Mode(Enum):
    IDLE = "idle"
    """Retracted, or about to be; nobody reads the force."""
    WATCHING = "watching"
    """Off the specimen; z stands still, and forces count from the detector's own zero."""
    HOLDING = "holding"
    """z is steered towards the set-point, through free air first if need be."""


class ForceLoop:
    """One probe under control; `retract` must send z to its lower limit, whatever went wrong before.

    `see_free` then looks whether that helped, and does what else can; it raises `StillTouches` if nothing did.
    """

    def __init__(
        self,
        sensor: ForceSensor,
        scanner: Steerable,
        budget: Budget,
        retract: Callable[[], None],
        see_free: Callable[[], None],
        tripped: Callable[[str, str | None], None],
        heartbeat: Heartbeat,
    ) -> None:
        """Take note of everything; nothing is read or moved before `start`, and `watch` or `hold`.

        Args:
            tripped: told, once the probe is retracted, why, and what trouble there was with that.
            heartbeat: shows the guardian that the loop lives, and whether the probe is engaged.
        """
        self.name = sensor.name
        self.budget = budget
        self.held_budget = budget  # what is left of it above the baseline of the probe that is held
        self._sensor = sensor
        self._scanner = scanner
        self._retract = retract
        self._see_free = see_free
        self._tell_tripped = tripped
        self._heartbeat = heartbeat
        self._low_um, self.top_um = scanner.limits_um["z"]
        self._changed = threading.Condition()
        self._gate = threading.Lock()  # whoever steers z; after a trip nobody steers it up again
        self._mode = Mode.IDLE
        self._safe = True  # the retraction after the last trip is over
        self._closing = False
        self._failure: ForceTripped | None = None
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._beat_s = time.monotonic()
        self._z_um = self._target_um = self._low_um
        self.baseline_nn = 0.0
        self._threshold_nn = 0.0
        self._error_before_nn = 0.0
        self._calm_nn: list[float] = []  # errors near the set-point, not acted upon yet
        self._calm_readings = CALM_READINGS[0]
        self._beyond = 0
        self.cycles = 0
        self._steer: Callable[[float], None] = scanner.steer("z")
        self._threads = [
            threading.Thread(target=self._regulate_until_closed, name="force loop"),
            threading.Thread(target=self._watch_until_closed, name="force trip-wire"),
        ]

    def start(self) -> None:
        """Start both threads, which `close` ends."""
        for thread in self._threads:
            thread.start()

    @property
    def mode(self) -> Mode:
        return self._mode

    @property
    def z_um(self) -> float:
        """Where z was sent last."""
        return self._z_um

    @property
    def force_nn(self) -> float | None:
        """Latest force above the baseline; None before the first reading."""
        return self._recent[-1] if self._recent else None

    @property
    def touched(self) -> bool:
        """Whether the probe was felt to touch, or to snap in, since it is held."""
        return self._beyond >= CONTACT_READINGS

    @property
    def at_top(self) -> bool:
        """Whether z can follow the specimen no further."""
        return self._target_um >= self.top_um

    def recent_nn(self) -> list[float]:
        """Forces above the baseline, the latest last; empty until `RECENT` of them were taken in this mode."""
        recent = list(self._recent)
        return recent if len(recent) == RECENT else []

    def forget_recent(self) -> None:
        """Let `recent_nn` begin anew."""
        self._recent.clear()

    def refuse_tripped(self) -> None:
        """Raise what the trip-wire did since it was asked last.

        Raises:
            ForceTripped: the probe has been retracted, or could not be.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._safe, RETRACT_S)
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def refuse_interrupted(self) -> None:
        """Raise what ended the watching or holding.

        Raises:
            ForceTripped: as `refuse_tripped`.
            Stopped: `stop()` of the scanner; the probe has been retracted.
        """
        idle = self._mode is Mode.IDLE
        self.refuse_tripped()
        if idle:
            raise Stopped(self.name, "stopped; the probe is retracted")

    def park(self, z_um: float) -> None:
        """Send z off the specimen, where it is not read meanwhile: a probe that is torn off saturates its detector.

        Raises:
            ForceTripped, Stopped: it is not held any more.
            DeviceError: z could not be sent there.
        """
        self._begin(Mode.IDLE, only_from=Mode.HOLDING)
        self._z_um = max(z_um, self._low_um)
        self._scanner.steer("z")(self._z_um)

    def watch(self) -> None:
        """Read the force as it is, with z standing still."""
        self._begin(Mode.IDLE)
        self._steer = self._scanner.steer("z")
        self._begin(Mode.WATCHING)

    def hold(self, baseline_nn: float, threshold_nn: float) -> None:
        """Go to the set-point and stay there, from wherever the probe is watched.

        Args:
            baseline_nn: what is read without contact.
            threshold_nn: what differs more from it, either way, is a contact.

        Raises:
            ForceTripped, Stopped: it is not watched any more.
            DeviceError: where z stands could not be read.
        """
        self._z_um = self._scanner.read_position_um()["z"]  # a search for the focus may have moved it meanwhile
        self.baseline_nn, self._threshold_nn = baseline_nn, threshold_nn
        self.held_budget = self.budget.above(baseline_nn)
        self._beyond, self._target_um = 0, self._z_um
        self._error_before_nn, self._calm_readings = 0.0, CALM_READINGS[0]
        self._calm_nn.clear()
        self._begin(Mode.HOLDING, only_from=Mode.WATCHING)

    def release(self) -> None:
        """Retract, and stop reading.

        Raises:
            StillTouches: that did not free it.
            DeviceError: it could not be retracted.
        """
        self._begin(Mode.IDLE)
        self._retract_for_sure()
        self._heartbeat.take_note()  # a guardian that retracted it may let go now
        self._see_free()

    def close(self) -> None:
        """Retract unless that is done, and end both threads; may be called twice.

        Raises:
            DeviceError: it could not be retracted; the threads have ended.
        """
        try:
            if self._mode is not Mode.IDLE:
                self.release()
        finally:
            with self._changed:
                self._closing = True
                self._changed.notify_all()
            for thread in self._threads:
                thread.join()

    def _begin(self, mode: Mode, only_from: Mode | None = None) -> None:
        """Change the mode once whoever retracts or steers has finished; a probe that was retracted is not sent on."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._safe, RETRACT_S):
                raise DeviceTimeout(self.name, f"the probe is not retracted after {RETRACT_S:g} s")
        with self._gate, self._changed:
            if allowed := only_from in (None, self._mode):
                self._recent.clear()
                self._beat_s = time.monotonic()
                self._mode = mode
                self._show(mode)
                self._changed.notify_all()
        if not allowed:
            self.refuse_interrupted()

    def _show(self, mode: Mode) -> None:
        """Show the guardian what is to come; a probe that was held counts as engaged until it is retracted or free."""
        if mode is Mode.IDLE:
            self._heartbeat.force.rest()
        else:
            self._heartbeat.engaged = mode is Mode.HOLDING
            self._heartbeat.force.beat()

    def _retract_for_sure(self) -> None:
        self._retract()
        self._heartbeat.engaged = False
        self._heartbeat.force.rest()

    def _regulate_until_closed(self) -> None:
        while self._wait_for_work(None):
            try:
                self._cycle()
            except DeviceError as error:
                self._trip(error)

    def _watch_until_closed(self) -> None:
        while self._wait_for_work(READING_WITHIN_S / LOOKS):
            if (silent_s := time.monotonic() - self._beat_s) > READING_WITHIN_S and self._mode is not Mode.IDLE:
                self._trip(DeviceTimeout(self.name, f"no reading for {silent_s * 1000:.0f} ms"))

    def _wait_for_work(self, at_least_s: float | None) -> bool:
        """Wait until the probe is not idle, and for `at_least_s` if it is not; False once all is over."""
        with self._changed:
            if at_least_s is not None and self._mode is not Mode.IDLE:
                self._changed.wait_for(lambda: self._closing, at_least_s)
            self._changed.wait_for(lambda: self._closing or self._mode is not Mode.IDLE)
            return not self._closing

    def _cycle(self) -> None:
        """Read once, judge, and steer."""
        mode = self._mode
        raw_nn = self._sensor.read_force_nn()
        force_nn = raw_nn - self.baseline_nn if mode is Mode.HOLDING else raw_nn
        worst_nn = max(raw_nn, force_nn)  # a baseline that pushes may be a contact, see `Budget.above`
        if worst_nn > self.budget.limit_nn:
            raise ForceTripped(self.name, f"{worst_nn:.0f} nN, limit {self.budget.limit_nn:g} nN")
        with self._gate:
            if self._mode is not mode or mode is Mode.IDLE:
                return  # told otherwise meanwhile
            self._heartbeat.force.beat()
            if mode is Mode.HOLDING:
                self._regulate(force_nn)
            self._recent.append(force_nn)
            self._beat_s = time.monotonic()
            self.cycles += 1

    def _regulate(self, force_nn: float) -> None:
        """Steer z by one step; what its limits cut off is not owed later, for the integral is z itself."""
        if (silent_s := time.monotonic() - self._beat_s) > READING_WITHIN_S:
            raise DeviceTimeout(self.name, f"no reading for {silent_s * 1000:.0f} ms")
        if self._heartbeat.retracted:
            raise ForceTripped(self.name, "the guardian has retracted the probe")
        self._beyond = self._beyond + 1 if abs(force_nn) > self._threshold_nn or self.touched else 0
        self._target_um = min(max(self._target_um + self._step_um(force_nn), self._low_um), self.top_um)
        if abs(self._target_um - self._z_um) >= RESOLUTION_UM:
            self._steer(self._target_um)
            self._z_um = self._target_um
            self._calm_readings = CALM_READINGS[0]

    def _step_um(self, force_nn: float) -> float:
        """Feel the way through free air; wait where a contact shows; in contact, take out a part of the error."""
        if not self._beyond:
            return self.held_budget.step_um
        upwards_um = self.held_budget.step_um if self.touched else 0.0
        return min(self._correction_nn(force_nn) / self.budget.stiffness_n_per_m / NM_PER_UM, upwards_um)

    def _correction_nn(self, force_nn: float) -> float:
        """Tell by how much the force is to change: soon where two readings agree that it is far off."""
        error_nn = self.budget.set_point_nn - force_nn
        both_nn = (error_nn, self._error_before_nn)
        self._error_before_nn = error_nn
        if min(map(abs, both_nn)) > CALM * self.budget.set_point_nn and min(both_nn) * max(both_nn) > 0:
            self._calm_nn.clear()
            return GAIN * error_nn
        self._calm_nn.append(error_nn)
        if len(self._calm_nn) < self._calm_readings:
            return 0.0
        mean_nn = fmean(self._calm_nn)
        self._calm_nn.clear()
        self._calm_readings = min(2 * self._calm_readings, CALM_READINGS[1])
        return mean_nn

    def _trip(self, why: DeviceError) -> None:
        """Retract first, tell afterwards; a stop by somebody else is no fault."""
        with self._changed:
            if self._mode is Mode.IDLE:
                return
            self._mode, self._safe = Mode.IDLE, False
        with suppress(DeviceError):  # the retraction below tries again, and waits for it
            self._lower_at_once()
        failure = None if isinstance(why, Stopped) else ForceTripped(why.device, why.message)
        trouble: str | None = None
        try:
            self._retract_for_sure()
            self._see_free()
        except StillTouches as error:
            trouble = error.message
        except DeviceError as error:
            trouble = f"and the probe could not be retracted: {error}"
        finally:
            if trouble is not None:
                failure = ForceTripped(why.device, f"{why.message}; {trouble}")
            with self._changed:
                self._failure, self._safe = failure, True
                self._changed.notify_all()
        if failure is not None:
            self._tell_tripped(str(failure), trouble)

    def _lower_at_once(self) -> None:
        """Send z down, past a steering that is stuck."""
        if not self._gate.acquire(timeout=STUCK_S):
            self._scanner.steer_past("z", self._low_um)
            return
        try:
            self._scanner.steer("z")(self._low_um)
        finally:
            self._gate.release()
