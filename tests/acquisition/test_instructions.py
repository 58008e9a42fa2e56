"""What people tell a run: each is honoured within one tile, and cuts short what is under way where it says so."""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from acquisition import failures, timeline
from acquisition.engine import Watcher, run
from acquisition.instructions import Cut, Instructions
from acquisition.journal import Attempt
from acquisition.run_store import RunStore
from acquisition.states import Outcome, State
from acquisition.summary import run_facts
from acquisition.troubles import Troubles
from devices.errors import DeviceRejected, DeviceTimeout, Stopped

NewStore = Callable[..., RunStore]
SOON_S = 10.0


class Running:
    """A run in a thread of its own, and what it has said."""

    def __init__(self, store: RunStore, rig: Any, told: Instructions) -> None:
        self.store = store
        self.told = told
        self.states: list[State] = []
        self._changed = threading.Condition()
        self._outcome: list[Outcome] = []
        self._thread = threading.Thread(target=lambda: self._outcome.append(run(store, rig, told, self._watcher())))
        self._thread.start()

    def _watcher(self) -> Watcher:
        def heard(state: State) -> None:
            with self._changed:
                self.states.append(state)
                self._changed.notify_all()

        return Watcher(state=heard)

    def wait_for(self, state: State, times: int = 1) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.states.count(state) >= times, SOON_S), self.states

    def outcome(self) -> Outcome:
        self._thread.join(SOON_S)
        assert not self._thread.is_alive()
        return self._outcome[0]

    def attempts(self) -> list[Attempt]:
        return [attempt for _, attempt in self.store.journal.attempts()]

    def events(self) -> list[str]:
        return [event.kind for event in self.store.journal.events()]


def at_snap(rig: Any, number: int, act: Callable[[], None]) -> None:
    """Act once, when exposure `number` (from 1) begins."""
    waiting = [act]

    def before() -> None:
        if rig.camera.snaps == number - 1 and waiting:
            waiting.pop()()

    rig.camera.before_snap = before


def hang_until_stopped(rig: Any) -> Callable[[], None]:
    """An exposure that ends by `stop` alone, as a long one does."""
    stopped = threading.Event()
    rig.camera.stop = stopped.set

    def hang() -> None:
        assert stopped.wait(SOON_S), "nobody cut it short"
        raise Stopped("camera", "stopped")

    return hang


def test_a_pause_after_the_tile_waits_and_goes_on_with_the_next(new_store: NewStore, rig: Any) -> None:
    told = Instructions()
    at_snap(rig, 2, lambda: told.pause("tile", "lunch"))
    running = Running(new_store(), rig, told)
    running.wait_for(State.PAUSED)
    assert [attempt.tile for attempt in running.attempts()] == [0, 1]
    assert rig.scanner.stops >= 1, "the rig was not made safe"
    told.resume()
    assert running.outcome() is Outcome.COMPLETED
    assert [attempt.tile for attempt in running.attempts()] == [0, 1, 2, 3, 4, 5]
    assert running.events() == ["run_started", "paused", "continued", "run_completed"]
    assert running.store.journal.events()[1].data["reason"] == "lunch"


def test_a_paused_run_gives_signs_of_life(new_store: NewStore, rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "SIGNS_S", (0.01, 0.01))
    told = Instructions()
    at_snap(rig, 2, lambda: told.pause("tile"))
    running = Running(new_store(), rig, told)
    running.wait_for(State.PAUSED)
    deadline = time.monotonic() + SOON_S
    while running.events().count("still_paused") < 2:
        assert time.monotonic() < deadline, "it gives none"
        time.sleep(0.01)
    told.resume()
    assert running.outcome() is Outcome.COMPLETED


def test_a_device_that_fails_just_when_the_tile_is_given_up_is_told_of(new_store: NewStore, rig: Any) -> None:
    told, store = Instructions(), new_store()

    def fail() -> None:
        told.pause("now")
        raise DeviceTimeout("camera", "no frame within 1 s")

    at_snap(rig, 2, fail)
    with closing(Troubles()) as troubles, troubles.noted_by(store.journal.note):
        running = Running(store, rig, told)
        running.wait_for(State.PAUSED)
        told.resume()
        assert running.outcome() is Outcome.COMPLETED
    (trouble,) = store.journal.events(kind="device_trouble")
    assert trouble.data["what"] == "no frame within 1 s"


def test_a_pause_after_the_row_finishes_the_row(new_store: NewStore, rig: Any) -> None:
    told = Instructions()
    at_snap(rig, 2, lambda: told.pause("row"))
    running = Running(new_store(), rig, told)
    running.wait_for(State.PAUSED)
    assert [attempt.tile for attempt in running.attempts()] == [0, 1, 2]
    told.resume()
    assert running.outcome() is Outcome.COMPLETED


def test_a_pause_now_gives_up_the_exposure_and_takes_the_tile_again(new_store: NewStore, rig: Any) -> None:
    told = Instructions()
    hang = hang_until_stopped(rig)
    at_snap(rig, 3, lambda: (told.pause("now"), hang()))  # type: ignore[func-returns-value]
    running = Running(new_store(), rig, told)
    running.wait_for(State.PAUSED)
    assert [attempt.tile for attempt in running.attempts()] == [0, 1]
    told.resume()
    assert running.outcome() is Outcome.COMPLETED
    assert [(attempt.tile, attempt.attempt) for attempt in running.attempts()] == [(tile, 1) for tile in range(6)]


def test_a_skip_gives_up_the_tile_for_good(new_store: NewStore, rig: Any) -> None:
    told = Instructions()
    hang = hang_until_stopped(rig)
    at_snap(rig, 3, lambda: (told.skip("dirt"), hang()))  # type: ignore[func-returns-value]
    running = Running(new_store(), rig, told)
    assert running.outcome() is Outcome.COMPLETED
    skipped = running.attempts()[2]
    assert (skipped.tile, skipped.verdict, skipped.reason) == (2, "skipped", "told to skip it dirt")
    assert [attempt.tile for attempt in running.attempts()] == [0, 1, 2, 3, 4, 5]
    assert [tile.index for tile in running.store.missing()] == [2]
    assert running.store.to_take() == [], "nor when the run goes on another day"


def test_a_skip_while_a_failed_tile_is_waited_for_gives_up_that_tile(
    new_store: NewStore, rig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which would have come back at the end; the next one has not been tried."""
    monkeypatch.setattr(failures, "FIRST_WAIT_S", SOON_S)
    told = Instructions()

    def refuse() -> None:
        raise DeviceRejected("camera", "too hot")

    at_snap(rig, 3, refuse)
    running = Running(new_store(on_failure={"rejected": "skip"}), rig, told)
    deadline = time.monotonic() + SOON_S / 2
    while "tile_skipped" not in running.events():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    told.skip("this one is bad")
    assert running.outcome() is Outcome.COMPLETED
    tried = [(attempt.tile, attempt.attempt, attempt.verdict) for attempt in running.attempts()]
    assert [attempt for attempt in tried if attempt[2] != "ok"] == [(2, 1, "skipped"), (2, 2, "skipped")]
    assert [tile for tile, _, verdict in tried if verdict == "ok"] == [0, 1, 3, 4, 5]
    (backed_off,) = running.store.journal.events(kind="backed_off")
    assert float(str(backed_off.data["took_s"])) < SOON_S / 2


def test_a_skip_that_comes_too_late_to_cut_the_exposure_short_gives_up_that_tile(new_store: NewStore, rig: Any) -> None:
    told = Instructions()
    at_snap(rig, 3, lambda: told.skip("dirt"))
    running = Running(new_store(), rig, told)
    assert running.outcome() is Outcome.COMPLETED
    assert [(attempt.tile, attempt.attempt, attempt.verdict) for attempt in running.attempts()] == [
        (tile, 1, "skipped" if tile == 2 else "ok") for tile in range(6)
    ]


@pytest.mark.parametrize("tell", [lambda told: told.skip(), lambda told: told.pause("now")])
def test_the_time_of_a_tile_that_was_cut_short_counts_as_told_and_for_no_other(
    new_store: NewStore, rig: Any, tell: Callable[[Instructions], None]
) -> None:
    told, exposed_s = Instructions(), 0.5
    hang = hang_until_stopped(rig)
    at_snap(rig, 3, lambda: (time.sleep(exposed_s), tell(told), hang()))  # type: ignore[func-returns-value]
    running = Running(new_store(), rig, told)
    deadline = time.monotonic() + SOON_S
    while "cut_short" not in running.events():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    told.resume()
    assert running.outcome() is Outcome.COMPLETED
    facts: Any = run_facts(running.store)
    assert exposed_s <= facts["lost_time_s"]["told"] < exposed_s + 0.3
    assert facts["time"]["overhead_ms_p99"] < 300


def reasons(running: Running) -> list[object]:
    """What the journal says of why things happened, in their order."""
    return [event.data["reason"] for event in running.store.journal.events() if "reason" in event.data]


def test_each_thing_that_is_told_keeps_its_own_reason(new_store: NewStore, rig: Any) -> None:
    told = Instructions()
    at_snap(rig, 2, lambda: told.pause("tile", "coffee"))
    running = Running(new_store(), rig, told)
    running.wait_for(State.PAUSED)
    told.skip("dirt here")
    told.pause("tile", "lunch")
    told.resume()
    assert running.outcome() is Outcome.COMPLETED
    assert reasons(running) == ["coffee", "told to skip it dirt here", ""]


def test_a_pause_that_gives_no_reason_has_none_of_before(new_store: NewStore, rig: Any) -> None:
    told = Instructions()
    at_snap(rig, 2, lambda: told.pause("tile", "lunch"))
    running = Running(new_store(), rig, told)
    running.wait_for(State.PAUSED)
    at_snap(rig, 4, lambda: told.pause("tile"))
    told.resume()
    running.wait_for(State.PAUSED, 2)
    told.stop()
    assert running.outcome() is Outcome.STOPPED
    assert reasons(running) == ["lunch", "", ""]


def test_a_stop_cuts_the_exposure_short_and_keeps_the_rest(new_store: NewStore, rig: Any) -> None:
    told = Instructions()
    hang = hang_until_stopped(rig)
    at_snap(rig, 3, lambda: (told.stop("enough"), hang()))  # type: ignore[func-returns-value]
    running = Running(new_store(), rig, told)
    assert running.outcome() is Outcome.STOPPED
    assert [attempt.verdict for attempt in running.attempts()] == ["ok", "ok"]
    assert running.store.journal.events()[-1].data == {"reason": "enough"}


def test_an_abort_counts_as_failed(new_store: NewStore, rig: Any) -> None:
    told = Instructions()
    at_snap(rig, 3, lambda: told.abort("smoke"))
    assert Running(new_store(), rig, told).outcome() is Outcome.FAILED


def test_a_paused_run_can_be_stopped(new_store: NewStore, rig: Any) -> None:
    told = Instructions()
    at_snap(rig, 2, lambda: told.pause("tile"))
    running = Running(new_store(), rig, told)
    running.wait_for(State.PAUSED)
    told.stop()
    assert running.outcome() is Outcome.STOPPED
    assert running.states == [State.PREPARING, State.ACQUIRING, State.PAUSED, State.FINISHING]


def test_a_hold_outlasts_a_resume_until_it_is_let_go(new_store: NewStore, rig: Any) -> None:
    told = Instructions()
    at_snap(rig, 2, lambda: told.hold("laser", "laser is off"))
    running = Running(new_store(), rig, told)
    running.wait_for(State.PAUSED)
    told.resume()
    assert not told.wait_while_paused(0.1)
    told.let_go("laser")
    assert running.outcome() is Outcome.COMPLETED


def test_a_rig_that_cannot_be_made_safe_stays_paused_and_says_so(new_store: NewStore, rig: Any) -> None:
    told = Instructions()
    at_snap(rig, 2, lambda: told.pause("tile"))
    broken = [True]

    def stop() -> None:
        if broken:
            broken.pop()
            raise DeviceRejected("scanner", "no")

    rig.scanner.stop = stop
    running = Running(new_store(), rig, told)
    running.wait_for(State.PAUSED)
    told.resume()
    assert running.outcome() is Outcome.COMPLETED
    (paused,) = [event for event in running.store.journal.events() if event.kind == "paused"]
    assert paused.data["trouble"] == "scanner: no"


def test_a_failure_whose_policy_is_to_pause_waits_for_somebody(new_store: NewStore, rig: Any) -> None:
    told = Instructions()

    def refuse() -> None:
        raise DeviceRejected("camera", "too hot")

    at_snap(rig, 3, refuse)
    running = Running(new_store(on_failure={"rejected": "pause"}), rig, told)
    running.wait_for(State.PAUSED)
    told.resume()
    assert running.outcome() is Outcome.COMPLETED
    assert [attempt.verdict for attempt in running.attempts()] == ["ok", "ok", "retry", "ok", "ok", "ok", "ok"]


def test_where_nobody_can_answer_a_pause_for_a_failure_ends_the_run(new_store: NewStore, rig: Any) -> None:
    def refuse() -> None:
        raise DeviceRejected("camera", "too hot")

    at_snap(rig, 3, refuse)
    with pytest.raises(DeviceRejected, match="too hot"):
        run(new_store(on_failure={"rejected": "pause"}), rig, Instructions(attended=False))


def test_a_rig_at_which_every_tile_fails_is_not_worn_out(new_store: NewStore, rig: Any) -> None:
    def refuse() -> None:
        raise DeviceRejected("camera", "too hot")

    rig.camera.before_snap = refuse
    store = new_store(on_failure={"rejected": "skip", "consecutive": 3})
    with pytest.raises(DeviceRejected):
        run(store, rig, Instructions(attended=False))
    assert [attempt.verdict for _, attempt in store.journal.attempts()] == ["skipped", "skipped", "failed"]


def test_a_run_goes_on_where_it_ended_and_counts_its_attempts_on(new_store: NewStore, rig: Any) -> None:
    told = Instructions()
    at_snap(rig, 3, told.stop)
    store = new_store()
    assert run(store, rig, told) is Outcome.STOPPED
    taken = len(store.journal.attempts())
    assert run(store, rig, Instructions()) is Outcome.COMPLETED
    attempts = [attempt for _, attempt in store.journal.attempts()]
    assert taken < 6
    assert [attempt.tile for attempt in attempts] == [0, 1, 2, 3, 4, 5]
    assert [attempt.frame for attempt in attempts] == [0, 1, 2, 3, 4, 5]
    assert [event.kind for event in store.journal.events()] == [
        "run_started",
        "run_stopped",
        "run_resumed",
        "run_completed",
    ]


@pytest.mark.parametrize("for_good", [False, True])
def test_the_journal_tells_an_end_for_now_from_one_for_good(new_store: NewStore, rig: Any, for_good: bool) -> None:
    told = Instructions()

    def end() -> None:
        told.stop("its window has closed", for_now=True)
        if for_good:
            told.stop("stopped over HTTP")

    at_snap(rig, 3, end)
    store = new_store()
    assert run(store, rig, told) is Outcome.STOPPED
    (ended,) = store.journal.events(kind="run_stopped")
    why = "stopped over HTTP" if for_good else "its window has closed"
    assert (ended.data["reason"], "for_now" in ended.data) == (why, not for_good)


def test_a_wait_is_cut_short() -> None:
    told = Instructions()
    threading.Timer(0.05, told.stop).start()
    with pytest.raises(Cut):
        told.wait(SOON_S)


def test_what_is_cut_short_is_cut_again_until_it_was_noticed() -> None:
    told, cuts = Instructions(), threading.Semaphore(0)
    with told.cutting(lambda: cuts.release()):
        told.stop()
        assert all(cuts.acquire(timeout=SOON_S) for _ in range(3))
        told.notice()
    while cuts.acquire(blocking=False):
        pass
    with told.cutting(lambda: cuts.release()):
        told.notice()
        assert not cuts.acquire(timeout=0.2), "it was noticed, and is cut all the same"
