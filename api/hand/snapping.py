"""One frame of the camera, for people; it is not kept."""

import numpy as np
from numpy.typing import NDArray

from api.hand.by_hand import ByHand
from devices.errors import DeviceError


def snap(hand: ByHand, exposure_s: float) -> NDArray[np.uint16]:
    """Expose one frame (y, x) of the whole sensor, where the rig stands.

    Raises:
        RigTaken, RigInUse: somebody else has the rig.
        DeviceError: it does not open, or the camera did not deliver.
    """
    with hand.rig() as rig, hand.exposing:
        try:
            rig.camera.set_exposure_s(exposure_s)
            pixels = rig.camera.snap().pixels
        except DeviceError as error:
            hand.remember("camera", error.message)
            raise
    hand.remember("camera", None)
    hand.exposure_s = exposure_s
    return pixels
