"""Settings in, named devices out; closes whatever it opened, and leaves the rig safe."""

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self

from devices.drivers import driver_named
from devices.errors import DeviceError, DeviceLost, DeviceRejected, DeviceTimeout, ProtocolError, Stopped
from devices.protocols import Camera, ForceSensor, Positioner, VideoSource
from devices.rig_file import Calibration, RigFileError, RigSettings
from devices.settings import DriverSettings
from devices.troubles import overcome, overcoming

__all__ = ["Calibration", "Rig", "RigFileError", "RigSettings", "open_rig"]

OPENING_TRIES = 3


class Rig:
    """The open devices of a rig; a context manager that closes them."""

    def __init__(self, settings: RigSettings, devices: dict[str, Any], opened: ExitStack) -> None:
        self.settings = settings
        self.scanner: Positioner = devices["scanner"]
        self.camera: Camera = devices["camera"]
        self.focus: Positioner | None = devices.get("focus")
        self.force: ForceSensor | None = devices.get("force")
        self.video: VideoSource | None = devices.get("video")
        self._opened = opened

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all devices, each even if the one before failed; move nothing. May be called twice."""
        self._opened.close()

    def retract(self) -> None:
        """Take the probe off the specimen: scanner z to its lower limit, unless there is no probe.

        Also if it is nearly there: at 42 N/m the last 50 nm are 2 uN. Tried twice: the first try may only have found
        that the connection is gone, or be cut short by a stop.
        """
        if self.force is None or "z" not in self.scanner.axes:
            return
        try:
            self._lower_z()
        except DeviceError as trouble:
            overcome(trouble)
            self._lower_z()

    def _lower_z(self) -> None:
        self.scanner.move_to({"z": self.scanner.limits_um["z"][0]})

    def make_safe(self) -> None:
        """Retract, stop, give up the exposure; each even if the one before failed.

        Raises:
            DeviceError: the first failure, the later ones as its notes.
        """
        steps = [self.retract, self.scanner.stop, self.camera.stop]
        if self.focus is not None:
            steps.insert(2, self.focus.stop)
        troubles: list[Exception] = []
        for step in steps:
            try:
                step()
            except Exception as trouble:  # not even a bug in one step may keep us from the next
                troubles.append(trouble)
        if troubles:
            for later in troubles[1:]:
                troubles[0].add_note(f"and then {later}")
            raise troubles[0]

    def halt(self) -> None:
        """Cut short whatever is under way, each device even if the one before failed; raises nothing.

        Who waits for what was cut short leaves with `Stopped`, or finds out otherwise.
        """
        stops = [self.scanner.stop, self.camera.stop, *([self.focus.stop] if self.focus else [])]
        for stop in stops:
            with overcoming(DeviceError):
                stop()

    @contextmanager
    def safe_on_exit(self) -> Iterator[None]:
        """`make_safe` on leaving, however it is left; an error in the block stays the one that is told.

        Raises:
            DeviceError: the block went well, making safe did not.
        """
        try:
            yield
        except BaseException as error:
            try:
                self.make_safe()
            except DeviceError as trouble:
                error.add_note(f"and the rig could not be made safe: {trouble}")
            raise
        self.make_safe()


def open_rig(settings: RigSettings, leave_out: Collection[str] = ()) -> Rig:
    """Open the devices of a rig; moves nothing. If one fails, those opened before it are closed again.

    Raises:
        DeviceError: a device that does not open.
        RigFileError: the camera's frames are not those of the calibration, or the scanner lacks x or y.
    """
    with ExitStack() as opening:
        devices: dict[str, Any] = {}
        for role, device_settings in settings.devices.by_role().items():
            if role in leave_out:
                continue
            devices[role] = open_device(role, device_settings)
            opening.callback(devices[role].close)
        _refuse_mismatch(settings, devices["scanner"], devices["camera"])
        return Rig(settings, devices, opening.pop_all())


def open_device(role: str, settings: DriverSettings) -> Any:
    """Open one device; moves nothing.

    Tried a few times where nobody answers, or the answer makes no sense or is a refusal: whoever used the line last may
    have left something on it, an error of its own too. Not if it was stopped: somebody wants it to stand still.

    Raises:
        DeviceError: it does not open.
        RigFileError: its driver is not installed any more.
    """
    driver = driver_named(settings.driver)
    if driver is None:
        raise RigFileError([f"devices.{role}: no driver {settings.driver!r}"])
    _, factory = driver
    for _ in range(OPENING_TRIES - 1):
        try:
            return factory(role, settings)
        except Stopped:
            raise
        except (DeviceTimeout, DeviceLost, ProtocolError, DeviceRejected) as trouble:
            overcome(trouble)
    return factory(role, settings)


def _refuse_mismatch(settings: RigSettings, scanner: Positioner, camera: Camera) -> None:
    expected, actual = settings.calibration.frame_shape_px, camera.frame_shape
    problems = []
    if expected != actual:
        problems.append(f"calibration.frame_shape_px = {list(expected)}: the camera's frames are {list(actual)}")
    if missing := {"x", "y"} - set(scanner.axes):
        problems.append(f"devices.scanner.axes: needs {' and '.join(sorted(missing))}")
    if problems:
        raise RigFileError(problems)
