"""What a force sensor needs of the package nidaqmx, with a detector behind it whose volts and faults a test chooses."""

import itertools
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

from nidaqmx.errors import DaqError

NO_SAMPLES_YET, REMOVED, WRONG_RANGE = -200284, -200045, -200077
HANGS_S = 1.0  # longer than its driver waits: beyond the answer it has half a second of grace
DITHER_V = 1e-7  # no two readings of a live detector are the same


class StubTask:
    """A task that samples `volts`; the next reading suffers `fault`, if there is one."""

    volts: ClassVar[Callable[[], float]]
    fault: ClassVar[str] = ""
    stuck: ClassVar[bool] = False
    latest: ClassVar[list[float]] = []
    dither: ClassVar[Iterator[int]] = itertools.count()

    def __init__(self) -> None:
        self.ai_channels = SimpleNamespace(add_ai_voltage_chan=lambda *args, **kwargs: None)
        self.timing = SimpleNamespace(cfg_samp_clk_timing=self._cfg_samp_clk_timing)
        self._samples = 0

    def control(self, action: object) -> None:
        """Commit, which a stub needs not."""

    def start(self) -> None:
        """Begin a burst."""

    def stop(self) -> None:
        """End a burst."""

    def close(self) -> None:
        """Give the channel back."""

    def read(self, samples: int, timeout: float) -> list[float]:
        fault, type(self).fault = type(self).fault, ""
        match fault:
            case "silence":
                raise DaqError("Some or all of the samples requested have not yet been acquired.", NO_SAMPLES_YET)
            case "late_answer":
                time.sleep(HANGS_S)
            case "closed_socket":
                raise DaqError("Device identifier is invalid: the device was removed.", REMOVED)
            case "controller_error":
                raise DaqError("Requested value is not supported.", WRONG_RANGE)
            case "garbage":
                return [float("nan")] * samples
            case "partial_line":
                return [type(self).volts()] * (samples // 2)
            case "overload":
                return [10.0] * samples
            case "frozen_reading":
                type(self).stuck = True
        if not type(self).stuck:
            volts = type(self).volts()
            type(self).latest = [volts + DITHER_V * next(type(self).dither) for _ in range(samples)]
        return type(self).latest

    def _cfg_samp_clk_timing(self, rate: float, **settings: Any) -> None:
        self._samples = settings["samps_per_chan"]
