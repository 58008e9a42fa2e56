"""A sweep of the scanner fires the camera: where the recorder says that each frame was taken, there it was."""

from collections.abc import Iterator

import pytest

from devices.camera_mmcore import MmCamera
from devices.protocols import Sweep
from devices.scanner_pi import PiScanner
from devices.settings import PiGcsSettings
from tests.conformance.bench import Bench
from tests.conformance.camera_backends import open_twin

EXPOSURE_S = 0.005
SPEED_UM_PER_S = 100.0
ROLLING_S = 256 * 9.17e-6  # of the twin's 512 rows, read as two halves at once: so much later ends the last line
NEAR_UM = 0.03  # the sweep goes 5 nm in a servo cycle
FORTH = Sweep("x", 30.0, 50.0, SPEED_UM_PER_S, tuple(30.0 + 4.0 * place for place in range(6)))
BACK = Sweep("x", 50.0, 30.0, SPEED_UM_PER_S, tuple(reversed(FORTH.trigger_at_um)))


@pytest.fixture(scope="module")
def camera(bench: Bench) -> Iterator[MmCamera]:
    camera = open_twin(bench)
    camera.set_exposure_s(EXPOSURE_S)
    yield camera
    camera.close()


@pytest.fixture(scope="module")
def scanner(bench: Bench) -> Iterator[PiScanner]:
    where = bench.ready["scanner"]
    axes = {"x": "1", "y": "2", "z": "3"}
    settings = {"host": where["host"], "port": where["port"], "axes": axes, "speed_um_per_s": 5000.0}
    scanner = PiScanner("scanner", PiGcsSettings.model_validate(settings))
    yield scanner
    scanner.close()


@pytest.mark.parametrize("sweep", [FORTH, BACK], ids=["forth", "back"])
def test_each_frame_was_taken_where_the_recorder_says(
    bench: Bench, camera: MmCamera, scanner: PiScanner, sweep: Sweep
) -> None:
    scanner.move_to({"y": 40.0})
    before = camera.snap().number
    interval_s = 4.0 / SPEED_UM_PER_S
    camera.start_sequence(len(sweep.trigger_at_um), triggered=True, interval_s=interval_s)
    scanner.start_sweep(sweep)
    frames = [camera.next_frame() for _ in sweep.trigger_at_um]
    scanner.wait_swept()
    exposures = bench.exposures(before)
    assert [frame.number for frame in frames] == [exposure["number"] for exposure in exposures]
    told_um = scanner.read_swept_um((EXPOSURE_S + ROLLING_S) / 2)
    for place, exposure in zip(told_um, exposures, strict=True):
        assert place["x"] == pytest.approx(exposure["x_um"] - _drift_um(bench, 0), abs=NEAR_UM)
        assert place["y"] == pytest.approx(exposure["y_um"] - _drift_um(bench, 1), abs=NEAR_UM)


def _drift_um(bench: Bench, axis: int) -> float:
    """What the sensors do not see; it stands still in this world, but for what a fault of another test did."""
    return float(bench.truth()["drift_um"][axis])
