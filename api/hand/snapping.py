"""One frame of the camera, for people; it is not kept."""

import numpy as np
from numpy.typing import NDArray

from api.hand.by_hand import ByHand
from api.hand.errors import BeyondLimits
from devices.errors import DeviceRejected
from devices.rig import Rig


def snap(hand: ByHand, exposure_s: float) -> NDArray[np.uint16]:
    """Expose one frame (y, x) of the whole sensor, where the rig stands.

    Raises:
        RigTaken, RigInUse: somebody else has the rig.
        BeyondLimits: the camera refuses to expose so long, or so short; nothing was exposed.
        DeviceError: it does not open, or the camera did not deliver.
    """
    with hand.rig() as rig, hand.exposing, hand.heard.asking("camera"):
        _expose_for(rig, exposure_s)
        pixels = rig.camera.snap().pixels
    hand.exposure_s = exposure_s
    return pixels


def _expose_for(rig: Rig, exposure_s: float) -> None:
    try:
        rig.camera.set_exposure_s(exposure_s)
    except DeviceRejected as refusal:  # it understood, so it is well: what was asked for is wrong
        raise BeyondLimits(str(refusal)) from refusal
