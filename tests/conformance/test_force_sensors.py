"""What `ForceSensor` promises, asked of every driver; the force is that of the world, whatever is between."""

from collections.abc import Iterator

import nidaqmx
import pytest

from devices.errors import DeviceLost, Saturated
from devices.protocols import ForceSensor, Positioner
from tests.conformance.bench import ANSWER_S, Bench, judge, outcome_of
from tests.conformance.force_backends import FORCE_SENSORS, NN_PER_V, ForceBackend
from tests.conformance.ni_stub import StubTask
from tests.conformance.positioner_backends import POSITIONERS

NOISE_NN = 8 * 0.3e-3 * NN_PER_V  # 0.3 mV rms of the detector, which is 0.63 nN
FREE_UM, TOUCHING_UM, PRESSING_UM, BEYOND_UM = 0.0, 7.9, 8.05, 8.3  # of the scanner's z; it touches at some 7.7
SOME_UM = (7.8, 7.85, 7.95, 8.1, 7.6)  # the last while it still sticks to the specimen, which pulls it
RECOVERIES = 10
READ_S = 6 * ANSWER_S + 1.0  # its answer, a new connection and its greeting; a library has a grace of its own


@pytest.fixture(scope="module", params=FORCE_SENSORS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> ForceBackend:
    backend: ForceBackend = request.param
    return backend


@pytest.fixture(scope="module", autouse=True)
def library() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(nidaqmx, "Task", StubTask)
        yield


@pytest.fixture(scope="module")
def scanner(bench: Bench) -> Iterator[Positioner]:
    scanner = POSITIONERS[0].open(bench)
    scanner.move_to({"x": 30.0, "y": 40.0})
    yield scanner
    scanner.move_to({"z": FREE_UM})
    scanner.close()


@pytest.fixture(scope="module")
def sensor(bench: Bench, backend: ForceBackend, scanner: Positioner) -> Iterator[ForceSensor]:
    scanner.move_to({"z": FREE_UM})
    sensor = backend.open(bench)
    yield sensor
    sensor.close()


def test_the_force_is_the_true_one_free_and_in_contact(
    bench: Bench, backend: ForceBackend, sensor: ForceSensor, scanner: Positioner
) -> None:
    scanner.move_to({"z": FREE_UM})
    assert sensor.read_force_nn() == pytest.approx(0.0, abs=NOISE_NN), backend.name
    for z_um in SOME_UM:
        scanner.move_to({"z": z_um})
        truth = bench.truth()
        assert truth["probe_contact"], f"{z_um} um"
        assert sensor.read_force_nn() == pytest.approx(truth["force_nn"], abs=NOISE_NN), f"{backend.name}, {z_um} um"


def test_a_detector_at_its_stop_is_saturated_and_comes_back(
    bench: Bench, backend: ForceBackend, sensor: ForceSensor, scanner: Positioner
) -> None:
    scanner.move_to({"z": BEYOND_UM})
    with pytest.raises(Saturated):
        sensor.read_force_nn()
    scanner.move_to({"z": PRESSING_UM})
    assert sensor.read_force_nn() == pytest.approx(bench.truth()["force_nn"], abs=NOISE_NN), backend.name


@pytest.mark.parametrize(
    ("backend", "fault"),
    [
        pytest.param(backend, fault, id=f"{backend.name}-{fault}")
        for backend in FORCE_SENSORS
        for fault in backend.allowed
    ],
    indirect=["backend"],
)
def test_a_fault_ends_in_its_error_or_in_the_true_force(
    bench: Bench, backend: ForceBackend, sensor: ForceSensor, scanner: Positioner, fault: str
) -> None:
    what = f"{backend.name}, {fault}"
    allowed = backend.allowed[fault]
    scanner.move_to({"z": TOUCHING_UM})
    sensor.read_force_nn()
    backend.strike(bench, fault)
    before_nn = bench.truth()["force_nn"]
    outcome = outcome_of(sensor.read_force_nn)
    judge(outcome, what, allowed, READ_S)
    assert outcome.error is not None or not allowed, f"{what}: nobody noticed"
    if outcome.error is None:
        low_nn, high_nn = sorted((before_nn, bench.truth()["force_nn"]))
        assert low_nn - NOISE_NN <= outcome.value <= high_nn + NOISE_NN, what
    backend.mend()
    bench.until(bench.latest_fault_is_over)
    scanner.move_to({"z": PRESSING_UM})
    _works_again(bench, sensor, what, allowed)


def _works_again(bench: Bench, sensor: ForceSensor, what: str, allowed: tuple[type[Exception], ...]) -> None:
    """The next reading that is none of the fault's errors tells the force of here, thousands of nN from before."""
    for _ in range(RECOVERIES):
        outcome = outcome_of(sensor.read_force_nn)
        if outcome.error is None:
            break
        assert type(outcome.error).__name__ == "Stale", f"{what}: {outcome.error!r} afterwards"
    for _ in range(2):
        assert sensor.read_force_nn() == pytest.approx(bench.truth()["force_nn"], abs=NOISE_NN), what


def test_closes_twice_and_says_so_afterwards(bench: Bench, backend: ForceBackend) -> None:
    sensor = backend.open(bench)
    sensor.close()
    sensor.close()
    with pytest.raises(DeviceLost, match="closed"):
        sensor.read_force_nn()
