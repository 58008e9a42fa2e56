"""What `Positioner` promises, asked of every driver; what became of it, the world tells."""

import copy
import socket
import threading

import pytest

from devices.errors import DeviceError, DeviceLost, OutOfRange, Stopped
from devices.protocols import Positioner
from tests.conformance.bench import Bench
from tests.conformance.positioner_backends import Backend

EFFECT_S = 0.05  # a stop takes effect within this time of the world
TRIES = 4  # one of them does: a busy machine may hold up this process, or the twin's, for longer
NEAREST_UM = 1e-6
STILL_SAMPLES = 10  # one every 3 ms or more


def test_goes_where_it_is_told_and_says_so(bench: Bench, backend: Backend, positioner: Positioner) -> None:
    for target_um in (backend.here_um, backend.there_um):
        positioner.move_to({backend.axis: target_um})
        true_um = backend.position_um(bench)
        assert true_um == pytest.approx(target_um, abs=backend.reach_um), backend.name
        assert positioner.read_position_um()[backend.axis] == pytest.approx(true_um, abs=backend.reach_um)


def test_returns_before_a_move_ends_and_waits_for_its_end(
    bench: Bench, backend: Backend, positioner: Positioner
) -> None:
    positioner.move_to({backend.axis: backend.here_um})
    positioner.start_move({backend.axis: backend.far_um})
    assert abs(backend.position_um(bench) - backend.far_um) > backend.reach_um, backend.name
    positioner.wait_settled()
    assert backend.position_um(bench) == pytest.approx(backend.far_um, abs=backend.reach_um), backend.name


def test_a_new_move_replaces_the_one_under_way(bench: Bench, backend: Backend, positioner: Positioner) -> None:
    positioner.move_to({backend.axis: backend.here_um})
    positioner.start_move({backend.axis: backend.far_um})
    positioner.move_to({backend.axis: backend.there_um})
    assert backend.position_um(bench) == pytest.approx(backend.there_um, abs=backend.reach_um), backend.name


@pytest.mark.parametrize("side", ["below", "above", "nan", "inf", "no such axis"])
def test_what_is_out_of_range_moves_nothing(bench: Bench, backend: Backend, positioner: Positioner, side: str) -> None:
    low_um, high_um = positioner.limits_um[backend.axis]
    beyond_um = {"below": low_um - NEAREST_UM, "above": high_um + 1.0, "nan": float("nan"), "inf": float("inf")}
    targets = dict.fromkeys(positioner.axes, 5.0)
    targets |= {"w": 5.0} if side == "no such axis" else {backend.axis: beyond_um[side]}
    before = bench.truth()
    with pytest.raises(OutOfRange):
        positioner.move_to(targets)
    after = bench.truth()
    assert (after["scanner_um"], after["focus_um"]) == (before["scanner_um"], before["focus_um"]), backend.name


def test_the_limits_are_the_controller_s_where_the_rig_file_has_wider_ones(
    backend: Backend, positioner: Positioner
) -> None:
    assert {axis: tuple(positioner.limits_um[axis]) for axis in positioner.axes} == backend.travel_um


def test_nothing_to_wait_for_is_settled(bench: Bench, backend: Backend, positioner: Positioner) -> None:
    before_um = backend.position_um(bench)
    positioner.move_to({})
    positioner.wait_settled()
    assert backend.position_um(bench) == before_um, backend.name


def test_connecting_and_closing_twice_moves_nothing(bench: Bench, backend: Backend, positioner: Positioner) -> None:
    positioner.move_to({backend.axis: backend.here_um})
    before = bench.truth()
    another = backend.open(bench)
    another.close()
    another.close()
    after = bench.truth()
    assert (after["scanner_um"], after["focus_um"]) == (before["scanner_um"], before["focus_um"]), backend.name
    with pytest.raises(DeviceLost, match="closed"):
        another.read_position_um()


def test_closing_leaves_a_move_under_way(bench: Bench, backend: Backend, positioner: Positioner) -> None:
    positioner.move_to({backend.axis: backend.here_um})
    another = backend.open(bench)
    another.start_move({backend.axis: backend.there_um})
    another.close()
    assert _rest_um(bench, backend) == pytest.approx(backend.there_um, abs=backend.reach_um), backend.name


def test_reads_the_hardware_not_a_memory(bench: Bench, backend: Backend, positioner: Positioner) -> None:
    positioner.move_to({backend.axis: backend.here_um})
    another = backend.open(bench)
    another.move_to({backend.axis: backend.there_um})
    another.close()
    told_um = positioner.read_position_um()[backend.axis]
    assert told_um == pytest.approx(backend.there_um, abs=backend.reach_um), backend.name


def test_a_stop_takes_effect_within_50_ms(bench: Bench, backend: Backend, positioner: Positioner) -> None:
    assert any(_stop_under_way(bench, backend, positioner, "") < EFFECT_S for _ in range(TRIES)), backend.name


@pytest.mark.parametrize("fault", ["silence", "partial_line"])
def test_a_stop_takes_effect_while_an_answer_is_missing(
    bench: Bench, backend: Backend, positioner: Positioner, fault: str
) -> None:
    tries_s = (_stop_under_way(bench, backend, positioner, fault) for _ in range(TRIES))
    assert any(took_s < EFFECT_S for took_s in tries_s), f"{backend.name}, {fault}"


def _stop_under_way(bench: Bench, backend: Backend, positioner: Positioner, fault: str) -> float:
    """Stop a long move from another thread; returns the world time until that took effect.

    Where it comes to rest tells when the stop took effect: until then it went on at its known speed.
    """
    positioner.move_to({backend.axis: backend.here_um})
    under_way_um = backend.here_um + 2 * backend.brake_um
    raised: list[DeviceError] = []
    positioner.start_move({backend.axis: backend.far_um})

    def wait() -> None:
        try:
            positioner.wait_settled()
        except DeviceError as error:
            raised.append(error)

    waiting = threading.Thread(target=wait)
    bench.until(lambda: backend.position_um(bench) > under_way_um)
    if fault:
        bench.arm(backend.device, fault)
    waiting.start()
    waiting.join(2.5 * EFFECT_S if fault else 0.0)
    before_um = backend.position_um(bench)
    positioner.stop()
    waiting.join()
    rest_um = _rest_um(bench, backend)
    assert before_um <= rest_um < backend.far_um - backend.reach_um, f"{backend.name}: went on to {rest_um} um"
    assert raised, f"{backend.name}: the thread that waited was not told"
    if not fault:
        assert isinstance(raised[0], Stopped), f"{backend.name}: {raised[0]!r}"
    return (rest_um - before_um - backend.brake_um) / backend.speed_um_per_s


def _rest_um(bench: Bench, backend: Backend) -> float:
    """Where it stands once it no longer moves: for longer than it takes to turn round or to settle."""
    places_um = [backend.position_um(bench)] * STILL_SAMPLES

    def stands_still() -> bool:
        places_um.append(backend.position_um(bench))
        return max(places_um[-STILL_SAMPLES:]) - min(places_um[-STILL_SAMPLES:]) < backend.exact_um

    bench.until(lambda: stands_still() and len(places_um) > 2 * STILL_SAMPLES)
    return places_um[-1]


def test_works_again_after_all_connections_broke(bench: Bench, backend: Backend, positioner: Positioner) -> None:
    """Each fault closes one connection; the second meets the one that was opened instead."""
    positioner.move_to({backend.axis: backend.here_um})
    for _ in range(2):
        bench.arm(backend.device, "closed_socket")
        with pytest.raises(DeviceLost):
            positioner.read_position_um()
    told_um = positioner.read_position_um()[backend.axis]
    assert told_um == pytest.approx(backend.here_um, abs=backend.reach_um), backend.name


def test_nobody_there_is_lost(bench: Bench, backend: Backend) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    gone = copy.copy(bench)
    where = {"host": "127.0.0.1", "port": port, "url": f"socket://127.0.0.1:{port}", "tty": "/dev/no-such-port"}
    gone.ready = {key: {**place, **where} for key, place in bench.ready.items() if isinstance(place, dict)}
    with pytest.raises(DeviceLost):
        backend.open(gone)
