"""One twin for the suites of all kinds of devices; most is still there, so that a value that is wrong stands out."""

from collections.abc import Iterator

import pytest

from devices.protocols import Positioner
from tests.conformance.bench import Bench
from tests.conformance.positioner_backends import POSITIONERS, Backend
from tests.devices.device_twin import running_twin

# Frames and voltages keep their noise, which tells a new one from one that froze; moves end where the sensor says.
WORLD = """\
base = "still"
randomness = "stream"
[mechanics]
position_error_px_rms = 0.0
[cantilever]
noise_mv = 0.3
"""


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("twin")
    world = folder / "world.toml"
    world.write_text(WORLD)
    with running_twin(folder, "--world", str(world)) as twin:
        yield Bench(twin)


@pytest.fixture(scope="module", params=POSITIONERS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest, bench: Bench) -> Backend:
    backend: Backend = request.param
    for line in (*backend.mend, *backend.slow):  # another controller of the same stage may have left its motor off
        backend.tell(bench, line)
    return backend


@pytest.fixture(scope="module")
def positioner(bench: Bench, backend: Backend) -> Iterator[Positioner]:
    positioner = backend.open(bench)
    yield positioner
    positioner.close()
