"""The NI-DAQ driver on the real package's constants and errors, with a task of ours that keeps to its signatures."""

import inspect
import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import nidaqmx
import pytest
from nidaqmx.constants import AcquisitionType, TaskMode, TerminalConfiguration
from nidaqmx.errors import DaqError
from nidaqmx.task import Task
from nidaqmx.task.collections import AIChannelCollection

from devices.errors import DeviceLost, DeviceRejected, DeviceTimeout, ProtocolError, Saturated, Stale
from devices.force_nidaq import NidaqForce
from devices.settings import NidaqForceSettings

NO_SAMPLES_YET, DEVICE_REMOVED, WRONG_RANGE = -200284, -200045, -200077
SIGNATURES = {
    "add_ai_voltage_chan": inspect.signature(AIChannelCollection.add_ai_voltage_chan),
    "read": inspect.signature(Task.read),
    "control": inspect.signature(Task.control),
}


class FakeTask:
    """A task whose samples and errors a test chooses; refuses calls that the real one would refuse."""

    samples: ClassVar[Callable[[], list[float]]]
    fails: ClassVar[dict[str, Exception]]
    made: ClassVar[list["FakeTask"]]

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.arguments: dict[str, dict[str, Any]] = {}
        self.running = self.closed = False
        self.ai_channels = SimpleNamespace(add_ai_voltage_chan=self._recorder("add_ai_voltage_chan"))
        self.timing = SimpleNamespace(cfg_samp_clk_timing=self._cfg_samp_clk_timing)
        self.control = self._recorder("control")
        type(self).made.append(self)

    def _recorder(self, name: str) -> Callable[..., None]:
        def record(*args: Any, **kwargs: Any) -> None:
            self._note(name)
            self.arguments[name] = dict(SIGNATURES[name].bind(self, *args, **kwargs).arguments)

        return record

    def _cfg_samp_clk_timing(
        self, rate: float, *, sample_mode: AcquisitionType = AcquisitionType.FINITE, samps_per_chan: int = 1000
    ) -> None:
        self._note("cfg_samp_clk_timing")
        self.arguments["timing"] = {"rate": rate, "mode": sample_mode, "samples": samps_per_chan}

    def start(self) -> None:
        self._note("start")
        assert not self.running
        self.running = True

    def read(self, *args: Any, **kwargs: Any) -> list[float]:
        self._note("read")
        SIGNATURES["read"].bind(self, *args, **kwargs)
        assert self.running
        return type(self).samples()

    def stop(self) -> None:
        self._note("stop")
        self.running = False

    def close(self) -> None:
        self.closed = True

    def _note(self, name: str) -> None:
        assert not self.closed
        self.calls.append(name)
        if (error := type(self).fails.get(name)) is not None:
            raise error


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> type[FakeTask]:
    FakeTask.samples, FakeTask.fails, FakeTask.made = (lambda: [1e-3, 3e-3]), {}, []
    monkeypatch.setattr(nidaqmx, "Task", FakeTask)
    return FakeTask


def settings(**values: Any) -> NidaqForceSettings:
    defaults = {"channel": "Dev1/ai0", "stiffness_n_per_m": 42.0, "sensitivity_nm_per_v": 50.0, "samples": 2}
    return NidaqForceSettings.model_validate({**defaults, **values})


def test_a_burst_of_samples_becomes_their_mean_force(library: type[FakeTask]) -> None:
    sensor = NidaqForce("force", settings(rate_hz=5000, terminal="DIFF", range_v=10))
    assert sensor.read_force_nn() == pytest.approx(4.2)
    sensor.close()
    (task,) = library.made
    channel = task.arguments["add_ai_voltage_chan"]
    assert channel["physical_channel"] == "Dev1/ai0"
    assert channel["terminal_config"] is TerminalConfiguration.DIFF
    assert (channel["min_val"], channel["max_val"]) == (-10.0, 10.0)
    assert task.arguments["timing"] == {"rate": 5000, "mode": AcquisitionType.FINITE, "samples": 2}
    assert task.arguments["control"]["action"] is TaskMode.TASK_COMMIT
    assert task.calls[3:] == ["start", "read", "stop"] * 2
    assert task.closed


def test_samples_that_do_not_come_are_a_timeout_and_the_task_is_made_anew(library: type[FakeTask]) -> None:
    sensor = NidaqForce("force", settings())
    library.fails["read"] = DaqError(
        "Some or all of the samples requested\nhave not yet been acquired.", NO_SAMPLES_YET
    )
    with pytest.raises(DeviceTimeout, match="have not yet been acquired"):
        sensor.read_force_nn()
    library.fails.clear()
    assert sensor.read_force_nn() == pytest.approx(4.2)
    sensor.close()
    assert [task.closed for task in library.made] == [True, True]


def test_a_device_that_was_pulled_out_is_lost_and_may_come_back(library: type[FakeTask]) -> None:
    sensor = NidaqForce("force", settings())
    library.fails["start"] = DaqError("Device was removed.", DEVICE_REMOVED)
    with pytest.raises(DeviceLost, match=r"Dev1/ai0 is removed"):
        sensor.read_force_nn()
    library.fails.clear()
    assert sensor.read_force_nn() == pytest.approx(4.2)
    sensor.close()


def test_what_the_device_refuses_is_told_with_its_code(library: type[FakeTask]) -> None:
    library.fails["add_ai_voltage_chan"] = DaqError("Requested value is not supported.", WRONG_RANGE)
    with pytest.raises(DeviceRejected, match="not supported") as caught:
        NidaqForce("force", settings())
    assert caught.value.code == WRONG_RANGE
    assert library.made[0].closed


def test_a_library_that_hangs_is_a_timeout(library: type[FakeTask]) -> None:
    sensor = NidaqForce("force", settings(answer_s=0.05))
    go_on = threading.Event()

    def hang() -> list[float]:
        go_on.wait(10.0)
        return [0.0, 0.0]

    library.samples = hang
    with pytest.raises(DeviceTimeout, match="did not return"):
        sensor.read_force_nn()
    go_on.set()
    sensor.close()


def test_one_saturated_sample_is_enough(library: type[FakeTask]) -> None:
    library.samples = lambda: [0.0, -9.99]
    sensor = NidaqForce("force", settings())
    with pytest.raises(Saturated):
        sensor.read_force_nn()
    sensor.close()


def test_digits_that_stand_still_are_stale() -> None:
    sensor = NidaqForce("force", settings(frozen_after=2))
    sensor.read_force_nn()
    with pytest.raises(Stale, match="same digits"):
        sensor.read_force_nn()
    sensor.close()


def test_a_slow_reading_is_stale(library: type[FakeTask]) -> None:
    def slow() -> list[float]:
        time.sleep(0.1)
        return [0.0, 0.0]

    sensor = NidaqForce("force", settings(stale_after_s=0.05))
    library.samples = slow
    with pytest.raises(Stale):
        sensor.read_force_nn()
    sensor.close()


def test_fewer_samples_than_asked_for_are_a_protocol_error(library: type[FakeTask]) -> None:
    library.samples = lambda: [0.0]
    with pytest.raises(ProtocolError, match="1 samples instead of 2"):
        NidaqForce("force", settings())


@pytest.mark.parametrize("answer", [0.1, None, [[0.1, 0.2], [0.3, 0.4]], [None, None], "12"], ids=repr)
def test_what_is_no_list_of_samples_is_a_protocol_error(library: type[FakeTask], answer: Any) -> None:
    library.samples = lambda: answer
    with pytest.raises(ProtocolError, match="no list of samples"):
        NidaqForce("force", settings())


@pytest.mark.parametrize("error", [OSError("x"), RuntimeError("x"), ValueError("x"), TypeError("x")], ids=repr)
@pytest.mark.parametrize("call", ["add_ai_voltage_chan", "read"])
def test_a_library_that_fails_in_its_own_way_is_lost_and_its_task_closed(
    library: type[FakeTask], call: str, error: Exception
) -> None:
    library.fails[call] = error
    with pytest.raises(DeviceLost, match=f"{type(error).__name__}: x"):
        NidaqForce("force", settings())
    assert library.made[0].closed


def test_without_ni_s_driver_it_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nidaqmx, "Task", Task)
    with pytest.raises(DeviceLost, match=r"^force: Could not find an installation of NI-DAQmx[^\n]*$"):
        NidaqForce("force", settings())


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nidaqmx", None)
    with pytest.raises(DeviceLost, match="pip install nidaqmx"):
        NidaqForce("force", settings())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"range_v": 5.0}, "below range_v"),
        ({"samples": 1000, "rate_hz": 100.0}, "longer than stale_after_s"),
        ({"terminal": "SINGLE"}, "terminal"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        settings(**wrong)


def test_closes_twice_and_says_so_afterwards() -> None:
    sensor = NidaqForce("force", settings())
    sensor.close()
    sensor.close()
    with pytest.raises(DeviceLost, match="closed"):
        sensor.read_force_nn()
