"""What can go wrong with a device.

DeviceError                 names the device
├── DeviceTimeout           no answer, or no end of a move or exposure, before its deadline
├── DeviceLost              the connection is gone, or could not be made
├── ProtocolError           an answer that the manual does not allow
├── DeviceRejected          the device understood and refused; `code` is its own error number
│   └── Stopped             `stop()` cut this move or exposure short
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


class DeviceLost(DeviceError):
    """The connection is gone; the next call tries to open it again, once."""


class ProtocolError(DeviceError):
    """The answer makes no sense; it was thrown away and the connection is cleaned before the next exchange."""


class DeviceRejected(DeviceError):
    """The device refused; `code` is its error number, None where it has none."""

    def __init__(self, device: str, message: str, code: int | None = None) -> None:
        super().__init__(device, message)
        self.code = code


class Stopped(DeviceRejected):
    """A stop cut the move or the exposure short: how the thread that waits for it gets out."""


class OutOfRange(DeviceError):
    """A target beyond the limits, or on an axis that does not exist; nothing was sent."""
