"""How low a search of the focus may take a probe, and what watches the probe meanwhile.

A focus stage cannot feel its way: it scatters by 0.2 um, which at 42 N/m is 8 uN. So one that carries a probe goes no
lower than where the run found it, or than the rig file's `clear_above_um`, above which the probe meets nothing. The
force is read at each height all the same, for a rig file may be wrong.
"""

import time
from collections.abc import Callable
from contextlib import suppress

from acquisition.force_errors import ForceTripped
from acquisition.switched_off import move_to
from devices.errors import DeviceError
from devices.rig import Rig
from devices.rig_file import RigSettings
from devices.troubles import overcome

LIFT_UM = 20.0
"""So much the stage goes above where the run found it, where a force shows: past its play, and what adhesion pulls."""
READINGS = 3
"""So many in a row that are beyond the limit, or are none, trip; a single one may be a spike, or be lost."""
TELLS_AGAIN_S, POLL_S = 2.0, 0.01
"""So long the sensor of a probe that was lifted may take to tell again."""


def carries_probe(rig: RigSettings) -> bool:
    """Tell whether the focus stage lowers a probe; a sensor that does not say what it rides on counts as one."""
    return rig.devices.force is not None and getattr(rig.devices.force, "rides_on", "focus") == "focus"


def floor_um(rig: RigSettings, start_um: float) -> float:
    """How low the stage may take the probe in a search that begins at `start_um`."""
    clear_above_um: float | None = getattr(rig.devices.force, "clear_above_um", None)
    return start_um if clear_above_um is None else min(start_um, clear_above_um)


class TripWire:
    """Reads the force of a probe that should be free, and takes it away from the specimen if it is not."""

    def __init__(self, rig: Rig, limit_nn: float, lift_to_um: float, note: Callable[..., None]) -> None:
        """Take note of everything; `lift_to_um` is where the stage goes if it trips, within its limits."""
        assert rig.force is not None
        assert rig.focus is not None
        self._rig, self._sensor, self._stage = rig, rig.force, rig.focus
        self._limit_nn, self._note = limit_nn, note
        self._lifted_um = min(lift_to_um, rig.focus.limits_um["z"][1])

    def see_free(self) -> None:
        """Return if the probe is free.

        Raises:
            ForceTripped: it is not, or its sensor does not tell; z is down, and the stage lifted.
        """
        found: list[str] = []
        while len(found) < READINGS:
            if (why := self._felt()) is None:
                return
            overcome(why)
            found.append(why.message)
        troubles = [str(trouble) for trouble in (self._tried(self._rig.retract), self._tried(self._lift)) if trouble]
        if (still := self._felt_in_the_end()) is not None:
            troubles.append(f"lifted, {still.message}")
        message = "; ".join([f"{found[-1]}, in a search of the focus", *troubles])
        with suppress(OSError):  # the engine will fail to write its next line, too, and tells it
            self._note("force_tripped", reason=message, **({"trouble": "; ".join(troubles)} if troubles else {}))
        raise ForceTripped(self._sensor.name, message)

    def _felt(self) -> DeviceError | None:
        """What is felt beyond the limit, or why nothing can be told; None where the probe is free."""
        try:
            force_nn = self._sensor.read_force_nn()
        except DeviceError as error:
            return error
        if abs(force_nn) <= self._limit_nn:
            return None
        return ForceTripped(self._sensor.name, f"{force_nn:.0f} nN, limit {self._limit_nn:g} nN")

    def _felt_in_the_end(self) -> DeviceError | None:
        """The same once the sensor tells something, for which it is given time: it was not to be waited for before."""
        give_up = time.monotonic() + TELLS_AGAIN_S
        while (why := self._felt()) is not None and time.monotonic() < give_up:
            time.sleep(POLL_S)
        return why

    def _lift(self) -> None:
        try:
            move_to(self._stage, self._lifted_um)
        except DeviceError as trouble:
            overcome(trouble)
            move_to(self._stage, self._lifted_um)

    def _tried(self, act: Callable[[], None]) -> DeviceError | None:
        try:
            act()
        except DeviceError as trouble:
            return trouble
        return None
