"""What can go wrong with a device.

DeviceError                 names the device
├── DeviceTimeout           no answer, or no end of a move or exposure, before its deadline
│   └── Stale               an answer came, but the reading in it is an old one
├── DeviceLost              the connection is gone, or could not be made
├── ProtocolError           an answer that the manual does not allow
│   ├── FramesLost          frames are missing from a sequence; `count` of them
│   ├── FrameRepeated       a frame came a second time
│   └── FrameBlack          a frame is darker than any that the rig file thinks possible
├── DeviceRejected          the device understood and refused; `code` is its own error number
│   ├── Stopped             `stop()` cut this move or exposure short
│   ├── Saturated           the signal is beyond the detector's range; its true value is unknown
│   └── VideoEnded          a recording has no more frames
└── OutOfRange              a target beyond the limits; nothing was sent
"""


class DeviceError(Exception):
    """A fault of one device; reads `device: message`."""

    def __init__(self, device: str, message: str) -> None:
        super().__init__(f"{device}: {message}")
        self.device = device
        self.message = message


class DeviceTimeout(DeviceError):
    """The deadline passed; the state of the device is unknown until it is asked again."""


class Stale(DeviceTimeout):
    """The reading is older than allowed, or has stood still for longer than noise allows: a value from the past."""


class DeviceLost(DeviceError):
    """The connection is gone; the next call tries to open it again, once."""


class ProtocolError(DeviceError):
    """The answer makes no sense; it was thrown away and the connection is cleaned before the next exchange."""


class FramesLost(ProtocolError):
    """Frames of a sequence never reached us, dropped on the way or by a buffer that ran over.

    `count` is how many; None where the device does not tell.
    """

    def __init__(self, device: str, message: str, count: int | None = None) -> None:
        super().__init__(device, message)
        self.count = count


class FrameRepeated(ProtocolError):
    """The same frame twice: its number did not rise, or its pixels are those of the frame before."""


class DeviceRejected(DeviceError):
    """The device refused; `code` is its error number, None where it has none."""

    def __init__(self, device: str, message: str, code: int | None = None) -> None:
        super().__init__(device, message)
        self.code = code


class Stopped(DeviceRejected):
    """A stop cut the move or the exposure short: how the thread that waits for it gets out."""


class FrameBlack(ProtocolError):
    """The frame saw no light: its mean is below what the rig file gives as the least of any field."""


class Saturated(DeviceRejected):
    """The detector is at the end of its range: the true value lies there or anywhere beyond it."""


class VideoEnded(DeviceRejected):
    """The recording has been read to its end."""


class OutOfRange(DeviceError):
    """A target beyond the limits, or on an axis that does not exist; nothing was sent."""
