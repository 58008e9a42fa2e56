"""What is said to the user when something is wrong, with which exit code, and with which HTTP status."""

import sys
from http import HTTPStatus

from acquisition.plan import PlanError
from acquisition.queue_errors import JobRefused, NoSuchJob, QueueError, RetakeRefused
from acquisition.run_folder import RunError
from api.access.lease import LeaseHeld
from api.hand.errors import BeyondLimits, HandRefused, NoSuchDevice, RigTaken
from devices.errors import DeviceError, Stopped
from devices.model import FileError
from devices.rig_lock import RigInUse
from reconstruction.damage import DamagedFile
from reconstruction.errors import InputError


class UsageError(ValueError):
    """An argument that cannot be used as given."""


class DevicesFailed(RuntimeError):
    """A device of the rig did not pass its test."""


class RigUnknown(RuntimeError):
    """Nobody has said which rig is meant."""


class Occupied(RuntimeError):
    """It is being done at this moment, or was done."""


class NoTwin(LookupError):
    """The service was not started with a twin."""


class TwinGone(OSError):
    """The twin does not answer any more."""


class NoSuchRun(LookupError):
    """No run has this name."""


BAD_INPUT = (UsageError, FileError, RunError, InputError, NoSuchJob, JobRefused)
"""Exit code 2: nothing was moved or written."""

STATUS: dict[type[Exception], HTTPStatus] = {
    NoSuchJob: HTTPStatus.NOT_FOUND,
    NoSuchRun: HTTPStatus.NOT_FOUND,
    NoTwin: HTTPStatus.NOT_FOUND,
    NoSuchDevice: HTTPStatus.NOT_FOUND,
    JobRefused: HTTPStatus.CONFLICT,
    RigInUse: HTTPStatus.CONFLICT,
    RigUnknown: HTTPStatus.CONFLICT,
    LeaseHeld: HTTPStatus.CONFLICT,
    Occupied: HTTPStatus.CONFLICT,
    RigTaken: HTTPStatus.CONFLICT,
    HandRefused: HTTPStatus.CONFLICT,
    Stopped: HTTPStatus.CONFLICT,
    RetakeRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    BeyondLimits: HTTPStatus.UNPROCESSABLE_ENTITY,
    DeviceError: HTTPStatus.SERVICE_UNAVAILABLE,
    PlanError: HTTPStatus.UNPROCESSABLE_ENTITY,
    UsageError: HTTPStatus.UNPROCESSABLE_ENTITY,
    InputError: HTTPStatus.UNPROCESSABLE_ENTITY,
    DamagedFile: HTTPStatus.SERVICE_UNAVAILABLE,
    QueueError: HTTPStatus.SERVICE_UNAVAILABLE,
    FileError: HTTPStatus.INTERNAL_SERVER_ERROR,  # the rig's, which is not the asker's
    RunError: HTTPStatus.INTERNAL_SERVER_ERROR,
    TwinGone: HTTPStatus.SERVICE_UNAVAILABLE,
    OSError: HTTPStatus.INTERNAL_SERVER_ERROR,
    Exception: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""What of it HTTP has a number for; the first that fits."""


def lines(error: Exception) -> list[str]:
    """The error in one line for each thing that is wrong."""
    if isinstance(error, FileError):
        return error.reasons
    said = [str(error) or type(error).__name__, *getattr(error, "__notes__", [])]
    return [" ".join("; ".join(said).split())]


def in_one_line(error: Exception) -> str:
    """All of `lines`, where one line is all there is."""
    return "; ".join(lines(error))


def say(text: str) -> None:
    """Say something on stderr, at once."""
    sys.stderr.write(f"nanoraster: {text}\n")
    sys.stderr.flush()
