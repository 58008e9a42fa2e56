"""A stage whose motor was switched off by a fault: whoever moves it next would be refused for the rest of the night."""

from devices.errors import DeviceError, DeviceRejected, Stopped
from devices.protocols import Positioner, Switchable
from devices.troubles import overcoming


def move_to(stage: Positioner, height_um: float) -> None:
    """Move z; a move that is refused, or ends early, leaves the motor switched on for the next, if the driver can.

    Raises:
        DeviceError: as `Positioner.move_to`.
    """
    try:
        stage.move_to({"z": height_um})
    except DeviceRejected as refusal:
        if isinstance(stage, Switchable) and not isinstance(refusal, Stopped):
            with overcoming(DeviceError):  # the refusal is the one to tell
                stage.switch_on_again()
        raise
