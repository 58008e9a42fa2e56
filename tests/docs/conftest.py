"""The worked example, installed for the tests of the documentation as pip would install it."""

import importlib
import sys
from collections.abc import Iterator

import pytest

from devices.protocols import Positioner
from tests.conformance.bench import Bench
from tests.conformance.positioner_backends import Backend
from tests.docs.xy20_bench import EXAMPLE, XY20, PeerBench, install, running


@pytest.fixture(scope="package")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("site-packages")
    install(folder)
    before = list(sys.path)
    sys.path[:0] = [str(folder), str(EXAMPLE)]  # the peer is not installed
    importlib.invalidate_caches()
    yield
    sys.path[:] = before


@pytest.fixture(scope="package")
def bench(installed: None) -> Iterator[PeerBench]:
    with running(importlib.import_module("xy20_peer").Xy20Peer()) as bench:
        yield bench


@pytest.fixture(scope="package")
def backend() -> Backend:
    return XY20


@pytest.fixture(scope="module")
def positioner(bench: Bench, backend: Backend) -> Iterator[Positioner]:
    positioner = backend.open(bench)
    yield positioner
    positioner.close()
