"""PI's own library against the controllers, in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import enumerate as threads
from typing import Any

import numpy as np
import pytest
from pipython import GCSDevice, datarectools, pitools
from pipython.pidevice.gcserror import GCSError
from pipython.pidevice.interfaces.pisocket import PISocket

from hardware_sim.clock import RealClock
from hardware_sim.gcs_profiles import E517, E727, Profile
from tests.hardware_sim.gcs_bench import Bench

FASTER = 5.0


class ClosableOnce(PISocket):  # type: ignore[misc]  # pipython has no types
    """A gateway that may be closed twice, as GCSDevice does when it is collected."""

    def close(self) -> None:
        if self.connected:
            super().close()


@contextmanager
def connected(profile: Profile) -> Iterator[tuple[Any, Bench]]:
    bench = Bench(profile, clock=RealClock(FASTER))
    with bench.listening() as port, GCSDevice(gateway=ClosableOnce("127.0.0.1", port)) as device:
        device.timeout = 3000
        yield device, bench


def buffered(device: Any) -> np.ndarray:
    """Wait for the array that is being read."""
    for thread in threads():
        if thread.name.endswith("(_fillbuffer)"):
            thread.join(timeout=10)
    assert device.bufstate is True
    return np.array(device.bufdata)


@pytest.mark.parametrize("profile", [E727, E517])
def test_starts_up_moves_and_sees_errors_of_both_controllers(profile: Profile) -> None:
    with connected(profile) as (device, _):
        x, y, z = profile.axes
        assert device.axes == list(profile.axes)
        pitools.startup(device)
        assert all(device.qSVO().values())
        device.MOV({x: 12.5, y: 3.25})
        pitools.waitontarget(device, polldelay=0.001)
        assert device.qPOS([x, y]) == {x: pytest.approx(12.5), y: pytest.approx(3.25)}
        assert device.qTMX() == {x: 100.0, y: 100.0, z: 10.0}
        with pytest.raises(GCSError) as caught:
            device.MOV(x, 200)
        assert caught.value.val == 7
        device.StopAll(noraise=True)
        assert not any(device.IsMoving().values())
        assert device.HasONL() is profile.has_online_switch
        assert device.HasWGO() is profile.has_wave_generator


def test_reads_and_writes_parameters() -> None:
    with connected(E727) as (device, _):
        assert device.qSPA("1", 0x0E000200) == {"1": {0x0E000200: 5e-05}}
        device.SPA("1", 0x07000000, 0.25)
        assert device.qTMN("1") == {"1": 0.25}
        assert datarectools.getservotime(device) == 5e-05
        assert datarectools.getmaxnumvalues(device) == 32768


def test_autozeroes() -> None:
    with connected(E727) as (device, _):
        device.ATZ(["1"], ["NaN"])
        pitools.waitontarget(device, ["2"], polldelay=0.001)
        pitools.waitonautozero(device, ["1"], polldelay=0.01)
        assert device.qATZ("1") == {"1": True}


def test_sweeps_a_line_with_triggers_and_reads_the_record() -> None:
    with connected(E727) as (device, bench):
        device.WAV_LIN(1, 0, 2000, "X", 200, 80, 5, 2000)
        device.MOV("1", 5)
        pitools.waitontarget(device, "1", polldelay=0.001)
        device.WSL(1, 1)
        device.WGC(1, 1)
        device.CTO([1] * 5, [2, 3, 1, 8, 9], [1, 0, 0.5, 10, 80])
        device.DRC([1, 2], ["1", "1"], [1, 2])
        device.DRT(0, 9, "0")
        device.WTR(1, 50, 0)  # 5 s of the world
        device.RTR(100)
        device.WGO(1, 1)
        assert device.IsGeneratorRunning([1, 2]) == {1: True, 2: False}
        with pytest.raises(GCSError) as caught:
            device.MOV("1", 3)
        assert caught.value.val == 73
        pitools.waitonwavegen(device, 1, polldelay=0.005)
        pitools.waitontarget(device, "1", polldelay=0.005)
        header = device.qDRR([1, 2], 1, 900)
        assert (header["DIM"], header["NDATA"], header["SEPARATOR"]) == (2, 900, 32)
        commanded_um, sensed_um = buffered(device)
        assert commanded_um[0] == pytest.approx(5.0)
        assert sensed_um[-1] > 60
        assert len(bench.edges_s(1)) == 141
        device.qGWD(1, 1, 2000)
        assert buffered(device)[0][-1] == pytest.approx(85.0)


def test_writes_points_in_bunches_of_as_many_as_a_line_can_hold() -> None:
    with connected(E727) as (device, _):
        points_um = np.linspace(0.0, 9.9, 100).tolist()
        pitools.writewavepoints(device, 3, points_um, bunchsize=26)
        assert device.qWAV(3, 1) == {3: {1: 100.0}}
        device.qGWD(3, 1, 100)
        assert buffered(device)[0] == pytest.approx(points_um)
        with pytest.raises(GCSError) as caught:
            pitools.writewavepoints(device, 3, points_um)
        assert caught.value.val == 24


def test_finds_its_way_through_the_recorders_options() -> None:
    with connected(E727) as (device, _):
        recorder = datarectools.Datarecorder(device)
        assert {1, 2, 3, 7, 44} <= set(recorder.recopts)
        assert {0, 1, 2, 3, 4, 6, 9} == set(recorder.trigopts)
        assert device.qDRC(1) == {1: ["1", 2]}
        assert device.qDRT(1) == {1: [0, "0"]}
        assert device.qWTR(1) == {1: [1, 0]}
