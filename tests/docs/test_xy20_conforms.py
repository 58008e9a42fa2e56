"""The conformance suite of positioners, on the worked example of docs/writing_a_driver.md."""

import pytest

from devices.protocols import Positioner
from tests.conformance import test_positioner_faults as faults
from tests.conformance.bench import Bench
from tests.conformance.positioner_backends import Backend
from tests.conformance.test_positioners import *  # noqa: F403  the suite's tests become tests of this module
from tests.docs.xy20_bench import FAULTS


@pytest.mark.parametrize("act", faults.ACTS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_in_its_error_or_in_the_truth(
    bench: Bench, backend: Backend, positioner: Positioner, fault: str, act: str
) -> None:
    faults.test_a_fault_ends_in_its_error_or_in_the_truth(bench, backend, positioner, fault, act)
