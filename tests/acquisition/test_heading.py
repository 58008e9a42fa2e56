"""Moving on to the next tile before the last one is judged and stored: when, and what becomes of it."""

from collections.abc import Callable
from typing import Any

import pytest

from acquisition.heartbeat import Heartbeat
from acquisition.instructions import Instructions
from acquisition.keeping import Keeping
from acquisition.run_store import RunStore
from devices.errors import DeviceTimeout, Stopped

NewStore = Callable[..., RunStore]


@pytest.fixture
def store(new_store: NewStore) -> RunStore:
    return new_store()


@pytest.fixture
def told() -> Instructions:
    return Instructions()


@pytest.fixture
def keeping(store: RunStore, rig: Any, told: Instructions) -> Keeping:
    return Keeping(store, rig, told, store.journal.note, Heartbeat.unshared())


def test_a_tile_that_was_headed_for_is_only_waited_for(keeping: Keeping, store: RunStore, rig: Any) -> None:
    first, second, *_ = store.tiles()
    keeping.bring_to(first)
    keeping.head_for(second)
    sent = list(rig.scanner.moves)
    assert keeping.bring_to(second).target_um == (second.x_um, second.y_um)
    assert rig.scanner.moves == sent
    assert (sent[-1]["x"], sent[-1]["y"]) == (second.x_um, second.y_um)


def test_another_tile_is_moved_to(keeping: Keeping, store: RunStore, rig: Any) -> None:
    first, second, third, *_ = store.tiles()
    keeping.bring_to(first)
    keeping.head_for(second)
    keeping.bring_to(third)
    assert rig.scanner.moves[-1]["x"] == third.x_um


def test_a_move_that_could_not_be_begun_is_begun_again(keeping: Keeping, store: RunStore, rig: Any) -> None:
    first, second, *_ = store.tiles()
    keeping.bring_to(first)

    def refuse() -> None:
        rig.scanner.before_move = lambda: None
        raise DeviceTimeout("scanner", "no answer")

    rig.scanner.before_move = refuse
    keeping.head_for(second)
    keeping.bring_to(second)
    assert rig.scanner.moves[-1]["x"] == second.x_um


def test_a_move_that_was_stopped_on_the_way_is_begun_again_from_below(
    keeping: Keeping, store: RunStore, rig: Any
) -> None:
    first, second, *_ = store.tiles()
    keeping.bring_to(first)
    keeping.head_for(second)
    sent = len(rig.scanner.moves)

    def stopped() -> None:
        raise Stopped("scanner", "stopped")

    rig.scanner.wait_settled = stopped
    keeping.bring_to(second)
    below, again = rig.scanner.moves[sent:]
    assert (again["x"], again["y"]) == (second.x_um, second.y_um)
    assert below["x"] < again["x"]
    assert below["y"] < again["y"]


def test_a_stop_that_is_meant_for_the_engine_moves_nothing(
    keeping: Keeping, store: RunStore, rig: Any, told: Instructions
) -> None:
    first, second, *_ = store.tiles()
    keeping.bring_to(first)
    keeping.head_for(second)
    sent = len(rig.scanner.moves)

    def stopped() -> None:
        told.stop("enough")
        raise Stopped("scanner", "stopped")

    rig.scanner.wait_settled = stopped
    with pytest.raises(Stopped):
        keeping.bring_to(second)
    assert len(rig.scanner.moves) == sent


def test_nobody_heads_on_who_is_to_pause(keeping: Keeping, store: RunStore, rig: Any, told: Instructions) -> None:
    first, second, *_ = store.tiles()
    keeping.bring_to(first)
    sent = len(rig.scanner.moves)
    told.pause("tile")
    keeping.head_for(second)
    assert len(rig.scanner.moves) == sent


def test_drift_that_goes_on_under_way_sends_the_stage_nowhere_else(
    keeping: Keeping, store: RunStore, rig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, *_ = store.tiles()
    known_um = iter([(0.0, 0.0), (0.01, 0.02), (0.009, 0.019), (0.008, 0.018)])
    monkeypatch.setattr(type(keeping._drift), "offset_um", property(lambda drift: next(known_um)))
    keeping.bring_to(first)
    keeping.head_for(second)
    sent = list(rig.scanner.moves)
    standing = keeping.bring_to(second)
    assert rig.scanner.moves == sent
    assert standing.drift_um == (0.01, 0.02)
    assert standing.target_um == (second.x_um + 0.01, second.y_um + 0.02)
