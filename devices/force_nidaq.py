"""Force on the cantilever, as the deflection voltage that an NI-DAQ device samples (package nidaqmx, NI-DAQmx driver).

The package is imported when a sensor is opened, not before: it is an extra, and NI's driver is not on every machine.
"""

import time
from contextlib import suppress
from numbers import Real
from typing import Any

from devices.answers import quoted
from devices.bounded import BoundedCalls
from devices.deflection import Deflection
from devices.errors import DeviceError, DeviceLost, DeviceRejected, DeviceTimeout, ProtocolError
from devices.settings import NidaqForceSettings

OPEN_S = 10.0  # the driver talks to the device, maybe over a network
GRACE_S = 0.5  # lets the library's own timeout come before ours

SAMPLES_NOT_YET_AVAILABLE = -200284
GONE = {-200324: "absent", -200220: "not known", -200045: "removed", -201003: "not accessible"}
# what the library's calls into C end in where they do not fit
BEYOND_ITS_ERRORS = (AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)


class NidaqForce:
    """A voltage channel of an NI-DAQ device on the deflection signal; fulfils `ForceSensor`."""

    def __init__(self, name: str, settings: NidaqForceSettings) -> None:
        """Reserve the channel and take one reading to see that it works.

        Raises:
            DeviceLost: the package, NI's driver or the device is missing.
            DeviceRejected: the device does not do what the settings say.
        """
        self.name = name
        self._settings = settings
        self._deflection = Deflection(name, settings)
        self._library = self._import()
        self._task: Any = None
        self._calls = BoundedCalls(name)
        try:
            self._read_v()
        except DeviceError:
            self.close()
            raise

    def read_force_nn(self) -> float:
        """Take a burst of samples now, and tell the mean; see `ForceSensor`."""
        asked_s = time.monotonic()
        return self._deflection.force_nn(self._read_v(), asked_s)

    def close(self) -> None:
        """Give the channel back, unless the library hangs."""
        with suppress(DeviceLost, DeviceTimeout):  # closed before, or hanging
            self._calls.call(self._drop, GRACE_S)
        self._calls.close()

    def _import(self) -> Any:
        try:
            import nidaqmx
            import nidaqmx.constants
            import nidaqmx.errors
        except ImportError as error:
            raise DeviceLost(self.name, f"the package nidaqmx is missing (pip install nidaqmx): {error}") from error
        return nidaqmx

    def _read_v(self) -> list[float]:
        burst_s = self._settings.samples / self._settings.rate_hz
        limit_s = burst_s + self._settings.answer_s
        opening_s = OPEN_S if self._task is None else 0.0
        return self._calls.call(lambda: self._sample(limit_s), opening_s + limit_s + GRACE_S)

    # What follows runs in the thread of `BoundedCalls`.

    def _sample(self, limit_s: float) -> list[float]:
        errors = self._library.errors
        try:
            if self._task is None:
                self._task = self._open()
            self._task.start()
            volts = self._task.read(self._settings.samples, timeout=limit_s)
            self._task.stop()
        except errors.DaqError as error:
            self._drop()
            raise self._meaning(error) from error
        except errors.Error as error:  # NI's driver is not installed, or not for this system
            raise DeviceLost(self.name, _one_line(error)) from error
        except BEYOND_ITS_ERRORS as error:
            self._drop()
            raise DeviceLost(self.name, f"the library failed: {type(error).__name__}: {_one_line(error)}") from error
        return self._checked(volts)

    def _checked(self, volts: Any) -> list[float]:
        if not isinstance(volts, list) or not all(isinstance(sample, Real) for sample in volts):
            raise ProtocolError(self.name, f"no list of samples: {quoted(repr(volts))}")
        if len(volts) != self._settings.samples:
            raise ProtocolError(self.name, f"{len(volts)} samples instead of {self._settings.samples}")
        return [float(sample) for sample in volts]

    def _open(self) -> Any:
        constants, settings = self._library.constants, self._settings
        task = self._library.Task()
        try:
            task.ai_channels.add_ai_voltage_chan(
                settings.channel,
                terminal_config=constants.TerminalConfiguration[settings.terminal],
                min_val=-settings.range_v,
                max_val=settings.range_v,
            )
            task.timing.cfg_samp_clk_timing(
                settings.rate_hz,
                sample_mode=constants.AcquisitionType.FINITE,
                samps_per_chan=settings.samples,
            )
            task.control(constants.TaskMode.TASK_COMMIT)  # makes each start a short one
        except (self._library.errors.Error, *BEYOND_ITS_ERRORS):
            task.close()
            raise
        return task

    def _drop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            with suppress(self._library.errors.Error, *BEYOND_ITS_ERRORS):  # the next reading opens it again
                task.close()

    def _meaning(self, error: Any) -> DeviceError:
        if error.error_code == SAMPLES_NOT_YET_AVAILABLE:
            return DeviceTimeout(self.name, f"no samples in time: {_one_line(error)}")
        if error.error_code in GONE:
            return DeviceLost(self.name, f"{self._settings.channel} is {GONE[error.error_code]}: {_one_line(error)}")
        return DeviceRejected(self.name, _one_line(error), error.error_code)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
