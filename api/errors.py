"""What is said to the user when something is wrong, and with which exit code."""

from acquisition.run_store import RunError
from devices.model import FileError
from reconstruction.errors import InputError


class UsageError(ValueError):
    """An argument that cannot be used as given."""


class DevicesFailed(RuntimeError):
    """A device of the rig did not pass its test."""


BAD_INPUT = (UsageError, FileError, RunError, InputError)  # exit code 2: nothing was moved or written


def lines(error: Exception) -> list[str]:
    """The error in one line for each thing that is wrong."""
    if isinstance(error, FileError):
        return error.reasons
    return " ".join(str(error).split()).splitlines() or [type(error).__name__]
