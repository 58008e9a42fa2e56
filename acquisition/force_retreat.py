"""After a retraction: whether it freed the probe, and what else can."""

from collections.abc import Callable

from acquisition.force_approach import Coarse
from acquisition.force_errors import StillTouches
from devices.errors import DeviceError, Saturated
from devices.protocols import ForceSensor
from devices.troubles import overcome

READINGS = 3
"""So many in a row are beyond the limit where the probe touches; a single one may be a spike, or be lost."""


class Retreat:
    """Reads the force of a probe that was retracted, and has the stage that carries it lift it if that did not help."""

    def __init__(self, sensor: ForceSensor, coarse: Coarse | None, limit_nn: float) -> None:
        self._sensor = sensor
        self._coarse = coarse
        self._limit_nn = limit_nn

    def see_free(self) -> None:
        """Return once the probe is free, as far as can be told: a sensor that does not answer says nothing.

        Raises:
            StillTouches: all that can be done was done.
        """
        if not (felt := self._felt()):
            return
        tried = "no stage can lift it"
        for lift in self._lifts():
            try:
                lift()
            except DeviceError as error:
                overcome(error)
                tried = str(error)
                continue
            if not (felt := self._felt()):
                return
            tried = "lifting it did not help"
        raise StillTouches(
            self._sensor.name,
            f"THE PROBE STILL TOUCHES, or its detector is wrong: {felt} with z at its lower limit; {tried}",
        )

    def _lifts(self) -> list[Callable[[], None]]:
        return [self._coarse.lift, self._coarse.lift_far] if self._coarse and not self._coarse.is_far else []

    def _felt(self) -> str:
        """Say what is felt beyond the limit, either way; nothing where one reading is not."""
        felt = ""
        for _ in range(READINGS):
            try:
                force_nn = self._sensor.read_force_nn()
            except Saturated as error:
                felt = error.message
            except DeviceError as error:
                overcome(error)
            else:
                if abs(force_nn) <= self._limit_nn:
                    return ""
                felt = f"{force_nn:.0f} nN, limit {self._limit_nn:g} nN,"
        return felt
