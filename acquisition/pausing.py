"""A pause: the rig is left safe, and nothing moves until somebody says what to do next."""

import time
from collections.abc import Callable, Iterable

from acquisition.failures import Failures
from acquisition.instructions import Instructions
from acquisition.run_store import RunStore
from acquisition.states import State
from acquisition.timeline import sign_of_life_s
from devices.errors import DeviceError


def pause(
    store: RunStore,
    told: Instructions,
    failures: Failures,
    state: Callable[[State], None],
    make_safe: Iterable[Callable[[], None]],
    before_waiting: Callable[[], None] = lambda: None,
) -> None:
    """Make safe by all of these, and wait until the run may go on or is to end; failures count from zero then.

    One that tries again by itself has `continued` only once it has taken a tile.
    """
    told.notice()
    trouble = None
    for act in make_safe:
        try:
            act()
        except DeviceError as error:
            trouble = str(error)
    before_waiting()
    state(State.PAUSED)
    by_itself = {"tries_again": True} if told.goes_on_by_itself else {}
    again = by_itself and failures.tries_again  # nobody wants to be told each time
    store.journal.note("still_paused" if again else "paused", reason=told.why_waits, trouble=trouble, **by_itself)
    _wait(store, told)
    failures.start_over(told.went_on_by_itself)
    if not told.stopped:
        store.journal.note("trying_again" if told.went_on_by_itself else "continued")


def _wait(store: RunStore, told: Instructions) -> None:
    """Wait; the journal tells from time to time that it still waits."""
    began_s = time.monotonic()
    while not told.wait_while_paused(sign_of_life_s(time.monotonic() - began_s)):
        store.journal.note_clock_jump()
        store.journal.note("still_paused")
