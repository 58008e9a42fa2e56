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
    """Make safe by all of these, and wait until the run may go on or is to end; failures count from zero then."""
    told.notice()
    trouble = None
    for act in make_safe:
        try:
            act()
        except DeviceError as error:
            trouble = str(error)
    before_waiting()
    state(State.PAUSED)
    store.journal.note("paused", reason=told.why_waits, trouble=trouble)
    _wait(store, told)
    failures.start_over()
    if not told.stopped:
        store.journal.note("continued")


def _wait(store: RunStore, told: Instructions) -> None:
    """Wait; the journal tells from time to time that it still waits."""
    began_s = time.monotonic()
    while not told.wait_while_paused(sign_of_life_s(time.monotonic() - began_s)):
        store.journal.note_clock_jump()
        store.journal.note("still_paused")
