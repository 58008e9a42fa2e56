"""What can go wrong between probe and specimen; the probe has been retracted before any of these is told."""

from devices.errors import DeviceError


class ForceError(DeviceError):
    """The probe is not at its set-point, and has been retracted."""


class ForceTripped(ForceError):
    """The trip-wire: a force over the limit, a reading that cannot be trusted, or a device that was lost."""


class NoContact(ForceError):
    """The specimen was not found as far as the probe may go, or cannot be told from what is felt without it."""


class StillTouches(ForceError):
    """Scanner z is at its lower limit, and the probe was not freed by that, nor by what else could be done."""
