"""Making a rig safe that no job has open: after a crash, and when everything is stopped between two jobs."""

from contextlib import closing

from acquisition.guardian import Probe
from api.scan import NOT_FOR_TILES
from devices.errors import DeviceError
from devices.rig import RigSettings, open_device, open_rig
from devices.rig_lock import holding


def make_rig_safe(settings: RigSettings) -> None:
    """Stop what moves on a rig that no job has open, and retract its probe; that also if another device is dead.

    Raises:
        RigInUse: another process has it.
        DeviceError: it does not answer, or not well.
    """
    with holding(settings):
        try:
            with open_rig(settings, leave_out=NOT_FOR_TILES) as rig:
                rig.halt()
                rig.make_safe()
        except DeviceError as error:
            error.add_note(_retract_alone(settings))
            raise


def _retract_alone(settings: RigSettings) -> str:
    """Retract the probe of a rig that does not open as a whole; what came of it."""
    if settings.devices.force is None:
        return "the rig has no probe"
    try:
        with closing(open_device("scanner", settings.devices.scanner)) as scanner:
            trouble = Probe(scanner).retract_once()
    except DeviceError as error:
        trouble = error
    return f"the probe could not be retracted: {trouble}" if trouble else "the probe is retracted"
