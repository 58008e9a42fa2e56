"""Every fault that a positioner's controller can suffer, on every driver, at every kind of call.

The call that it strikes ends in time, in an error of this table or in a right result:

| fault            | allowed errors                                                                       |
|------------------|--------------------------------------------------------------------------------------|
| silence          | DeviceTimeout                                                                        |
| late_answer      | DeviceTimeout                                                                        |
| garbage          | ProtocolError; DeviceTimeout where its bytes hide the end of the answer              |
| partial_line     | DeviceTimeout                                                                        |
| closed_socket    | DeviceLost                                                                           |
| controller_error | DeviceRejected                                                                       |
| controller_busy  | DeviceRejected                                                                       |
| following_error  | DeviceRejected                                                                       |
| stuck_axis       | DeviceTimeout; DeviceRejected where the controller itself gives up                   |
| drift_burst      | none: the sensors do not see it                                                      |

Afterwards the driver works again, on the same object, and what it reads is the truth of that moment.
"""

from collections.abc import Callable

import pytest

from devices.errors import DeviceError, DeviceLost, DeviceRejected, DeviceTimeout, ProtocolError
from devices.protocols import Positioner, Switchable
from hardware_sim.fault_kinds import known
from tests.conformance.bench import Bench, judge, outcome_of
from tests.conformance.positioner_backends import POSITIONERS, Backend

ALLOWED: dict[str, tuple[type[DeviceError], ...]] = {
    "silence": (DeviceTimeout,),
    "late_answer": (DeviceTimeout,),
    "garbage": (ProtocolError, DeviceTimeout),
    "partial_line": (DeviceTimeout,),
    "closed_socket": (DeviceLost,),
    "controller_error": (DeviceRejected,),
    "controller_busy": (DeviceRejected,),
    "following_error": (DeviceRejected,),
    "stuck_axis": (DeviceTimeout, DeviceRejected),
    "drift_burst": (),
}
ALWAYS_TOLD = {"silence", "late_answer", "garbage", "partial_line", "closed_socket"}  # of a query, which has no retry
LEAVES_THE_MOTOR_OFF = {"following_error", "stuck_axis"}
READINGS = 3

Act = Callable[[Bench, Backend, Positioner, str], None]


def _query(bench: Bench, backend: Backend, positioner: Positioner, fault: str) -> None:
    """Strike the question where it is."""
    what = f"{backend.name}, {fault}, query"
    bench.arm(backend.device, fault)
    outcome = outcome_of(positioner.read_position_um)
    judge(outcome, what, ALLOWED[fault], backend.deadline_s(0.0))
    assert outcome.error is not None or fault not in ALWAYS_TOLD, f"{what}: nobody noticed"
    if outcome.error is None:
        told_um = outcome.value[backend.axis]
        assert told_um == pytest.approx(backend.here_um, abs=backend.reach_um), what


def _move(bench: Bench, backend: Backend, positioner: Positioner, fault: str, after: int = 1) -> None:
    """Strike the command, which comes after the question where it is; that, or one of those that follow."""
    what = f"{backend.name}, {fault}, exchange {after} of a move"
    bench.arm(backend.device, fault, after)
    outcome = outcome_of(lambda: positioner.move_to({backend.axis: backend.there_um}))
    judge(outcome, what, ALLOWED[fault], backend.deadline_s(backend.there_um - backend.here_um))
    if outcome.error is None:
        assert backend.position_um(bench) == pytest.approx(backend.there_um, abs=backend.reach_um), what


def _wait(bench: Bench, backend: Backend, positioner: Positioner, fault: str) -> None:
    """Strike the first question about a move that has begun."""
    what = f"{backend.name}, {fault}, wait"
    positioner.start_move({backend.axis: backend.there_um})
    bench.arm(backend.device, fault)
    outcome = outcome_of(positioner.wait_settled)
    judge(outcome, what, ALLOWED[fault], backend.deadline_s(backend.there_um - backend.here_um))
    if outcome.error is None:
        assert backend.position_um(bench) == pytest.approx(backend.there_um, abs=backend.reach_um), what


def _stop(bench: Bench, backend: Backend, positioner: Positioner, fault: str) -> None:
    """Strike the stop of a long move: it takes place all the same, or says that it may not have."""
    what = f"{backend.name}, {fault}, stop"
    positioner.start_move({backend.axis: backend.far_um})
    bench.until(lambda: backend.position_um(bench) > backend.there_um)
    bench.arm(backend.device, fault)
    outcome = outcome_of(positioner.stop)
    judge(outcome, what, ALLOWED[fault], 2 * backend.deadline_s(0.0))
    if outcome.error is not None:
        positioner.stop()
    assert outcome_of(positioner.wait_settled).error is not None, f"{what}: the move was not told"
    assert backend.position_um(bench) < backend.far_um - backend.reach_um, f"{what}: it went all the way"


ACTS: dict[str, Act] = {"query": _query, "move": _move, "wait": _wait, "stop": _stop}
STRUCK = [
    pytest.param(backend, fault, id=f"{backend.name}-{fault}")
    for backend in POSITIONERS
    for fault in known(backend.device)
]


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize(("backend", "fault"), STRUCK, indirect=["backend"])
def test_a_fault_ends_in_its_error_or_in_the_truth(
    bench: Bench, backend: Backend, positioner: Positioner, fault: str, act: str
) -> None:
    positioner.move_to({backend.axis: backend.here_um})
    struck = len(bench.injected())
    ACTS[act](bench, backend, positioner, fault)
    _let_it_strike(bench, backend, positioner, struck)
    if fault in LEAVES_THE_MOTOR_OFF:
        _mend(bench, backend, positioner)
    _works_again(bench, backend, positioner, f"{backend.name}, {fault}, {act}")


def _let_it_strike(bench: Bench, backend: Backend, positioner: Positioner, struck: int) -> None:
    """A fault that is still armed must not spoil the next test; a call with fewer exchanges leaves it behind."""
    while len(bench.injected()) == struck:
        outcome_of(positioner.read_position_um)


def _mend(bench: Bench, backend: Backend, positioner: Positioner) -> None:
    """Let the move fail that was still to fail, then switch the motor on, or have somebody at the controller do it."""
    bench.until(bench.latest_fault_is_over)
    outcome = outcome_of(lambda: positioner.move_to({backend.axis: backend.here_um}))
    judge(outcome, f"{backend.name}, motor off", (DeviceRejected, DeviceTimeout), backend.deadline_s(backend.far_um))
    if isinstance(positioner, Switchable):
        positioner.switch_on_again()
        return
    for line in backend.mend:
        backend.tell(bench, line)


def _works_again(bench: Bench, backend: Backend, positioner: Positioner, what: str) -> None:
    """Go on from where the fault left it; an answer of before would tell another place."""
    elsewhere_um = backend.here_um - (backend.there_um - backend.here_um)
    positioner.move_to({backend.axis: elsewhere_um})
    for _ in range(READINGS):
        told_um = positioner.read_position_um()[backend.axis]
        assert told_um == pytest.approx(elsewhere_um, abs=backend.reach_um), f"{what}: an answer of before"
    assert backend.position_um(bench) == pytest.approx(elsewhere_um, abs=backend.reach_um), what
