"""Where the world's randomness comes from: everything follows from the seed."""

from collections.abc import Iterable
from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """Independent streams of one seed, so that asking one device never changes another."""

    SPECIMEN = 1
    LANDING = 2
    DRIFT = 3
    SENSOR = 4
    IMAGE = 5
    PREVIEW = 6
    DEFLECTION = 7
    FAULTS = 8
    FAULT_DECK = 9
    GARBAGE = 10
    SENSOR_FLAWS = 11
    LASER_DRIFT = 12
    CREEP = 13
    ELECTRONS = 14
    CHARGING = 15
    FOCUS_ENCODER = 16
    FOCUS_LANDING = 17
    VIBRATION = 18
    LINEARITY = 19


def generator(seed: int, stream: Stream, key: Iterable[int] = ()) -> np.random.Generator:
    """Make the generator that belongs to this seed, stream and key (whole numbers, 0 or more)."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, stream, *key])))
