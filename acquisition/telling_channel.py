"""One channel of telling. The journal is its queue: what could not be told yet stays there.

Each message arrives at least once; twice only if the machine fails between its arrival and the note of it.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from acquisition.events import KINDS, Class
from acquisition.journal import Event, JournalError
from acquisition.progress import progress_of
from acquisition.run_store import RunStore
from acquisition.telling_mail import mail
from acquisition.telling_memory import ToldMemory
from acquisition.telling_message import WITH_PICTURE, Message
from acquisition.telling_webhook import NotTold, post
from acquisition.timeline import ENDS
from devices.telling_settings import Mail, Webhook

POLL_S = 0.5  # how soon an event is noticed
AGAIN_S = 60.0  # between two messages of a class, so that an interlock that flutters fills no mailbox
FIRST_WAIT_S = 1.0  # after a message that did not get through; doubled each time
LONGEST_WAIT_S = 300.0
KEPT_S = 3600.0  # a message that did not get through for so long is given up
END_S = 10.0  # for what is still to be told when the run has ended
MOST_LISTED = 20  # events in a message; of others, their number
FIRST_OF_ALL = (
    Class.FAILED,
    Class.GUARDIAN,
    Class.INTERLOCK,
    Class.COMPLETED,
    Class.PAUSED,
    Class.SKIPPED,
    Class.STARTED,
)
"""What is told first where several classes wait, for a channel may take one message and then no more."""
OVER_WITH_THE_RUN = (Class.STARTED, Class.PAUSED)
"""What nobody needs to hear any more who is told that the run has ended."""

Picture = Callable[[], bytes | None]


def no_picture() -> None:
    """Show nothing."""


def follow(
    channel: Webhook | Mail,
    skipped_every_s: float,
    run: Path,
    memory: ToldMemory,
    picture: Picture,
    ending: threading.Event,
    end_s: float,
) -> None:
    """Tell a channel what happens in a run until `ending` is set, and then what is left, for `end_s` at most."""
    with closing(RunStore(run)) as store:
        teller = _Teller(channel, skipped_every_s, store, memory, picture)
        while not ending.is_set():
            teller.tell_due()
            ending.wait(POLL_S)
        teller.finish(end_s)


def deliver(channel: Webhook | Mail, message: Message) -> str:
    """Send one message; returns once it was taken: who will not get it though, in words, empty if all will.

    Raises:
        NotTold: it did not get through.
    """
    if isinstance(channel, Webhook):
        post(channel, message)
        return ""
    return mail(channel, message)


@dataclass
class _Pending:
    """What is still to be told of one class."""

    events: deque[Event] = field(default_factory=lambda: deque(maxlen=MOST_LISTED))
    count: int = 0
    not_before_s: float = 0.0  # monotonic
    failing_since_s: float | None = None

    def add(self, event: Event) -> None:
        self.events.append(event)
        self.count += 1

    def clear(self) -> None:
        self.events.clear()
        self.count = 0
        self.failing_since_s = None


class _Teller:
    """Gathers what its channel is to be told, and tells it when it is due."""

    def __init__(
        self, channel: Webhook | Mail, skipped_every_s: float, store: RunStore, memory: ToldMemory, picture: Picture
    ) -> None:
        self._channel = channel
        self._every_s = {Class.SKIPPED: skipped_every_s}
        self._store = store
        self._picture = picture
        self._memory = memory
        self._pending = {Class(name): _Pending() for name in channel.classes}
        self._read = min(self._memory.last(channel.name).get(name, 0) for name in channel.classes)
        self._wait_s = FIRST_WAIT_S
        self._retry_at_s = 0.0
        self._down = False
        self._partly = ""

    def tell_due(self) -> None:
        """Tell each class of which something is pending, unless it was told a moment ago or the channel is down.

        One that could not be told lets the others go first: what is wrong may be the message.
        """
        self._listen()
        for told_class, pending in sorted(self._pending.items(), key=_turn):
            if pending.count and time.monotonic() >= max(pending.not_before_s, self._retry_at_s):
                self._tell(told_class, pending)

    def finish(self, end_s: float) -> None:
        """Tell what is left, even of a class that was told a moment ago; what fails is left to a resumed run."""
        deadline = time.monotonic() + end_s
        self._wait_s, self._retry_at_s = FIRST_WAIT_S, 0.0
        for pending in self._pending.values():
            pending.not_before_s = 0.0
        self.tell_due()
        while any(pending.count for pending in self._pending.values()) and self._retry_at_s < deadline:
            time.sleep(max(self._retry_at_s - time.monotonic(), 0))
            self.tell_due()

    def _forget_what_is_over(self) -> None:
        """Nobody who is told that a run has ended needs to be told that it began, waited, or went on."""
        for told_class in OVER_WITH_THE_RUN:
            if (pending := self._pending.get(told_class)) and pending.count:
                self._remember(told_class, pending)
                pending.clear()

    def _listen(self) -> None:
        """Read on in the journal; one that cannot be read just now is read the next time."""
        with suppress(JournalError):
            told = None
            for event in self._store.journal.events(after=self._read):
                self._read = event.seq
                told_class = KINDS.get(event.kind, Class.NOTE)
                if told_class in self._pending:
                    told = told or self._memory.last(self._channel.name)
                    if event.seq > told.get(told_class, 0):
                        self._pending[told_class].add(event)
                    if event.kind in ENDS:
                        self._forget_what_is_over()

    def _tell(self, told_class: Class, pending: _Pending) -> None:
        if pending.events[-1].seq <= self._memory.last(self._channel.name).get(told_class, 0):
            pending.clear()  # told meanwhile by another process: a guardian's, or the next service
            return
        try:
            partly = deliver(self._channel, self._message(told_class, pending))
        except (NotTold, JournalError) as error:
            self._failed(told_class, pending, error)
            return
        self._wait_s, self._down = FIRST_WAIT_S, False
        if partly and partly != self._partly:
            self._say(partly, partly=True)
        self._partly = partly
        self._done(told_class, pending)

    def _message(self, told_class: Class, pending: _Pending) -> Message:
        return Message(
            run=self._store.plan.name,
            folder=str(self._store.path.absolute()),
            told_class=told_class,
            events=list(pending.events),
            count=pending.count,
            progress=progress_of(self._store, datetime.now(UTC)),
            picture=self._picture() if self._channel.picture and told_class in WITH_PICTURE else None,
        )

    def _failed(self, told_class: Class, pending: _Pending, error: OSError) -> None:
        """Try again later, less and less often; say so when it begins, and give the message up in the end."""
        now_s = time.monotonic()
        if not self._down:
            self._down = True
            self._say(str(error), partly=False)
        self._retry_at_s = now_s + self._wait_s
        self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)
        pending.failing_since_s = pending.failing_since_s or now_s
        if now_s - pending.failing_since_s > KEPT_S:
            self._done(told_class, pending)

    def _say(self, reason: str, partly: bool) -> None:
        with suppress(JournalError):
            self._store.journal.add_event("telling_failed", channel=self._channel.name, reason=reason, partly=partly)

    def _done(self, told_class: Class, pending: _Pending) -> None:
        """Take a message off the list."""
        self._remember(told_class, pending)
        pending.clear()
        pending.not_before_s = time.monotonic() + self._every_s.get(told_class, AGAIN_S)

    def _remember(self, told_class: Class, pending: _Pending) -> None:
        with suppress(OSError):  # on a full disk a restart may repeat it, which is the lesser evil
            self._memory.remember(self._channel.name, told_class, pending.events[-1].seq)


def _turn(waiting: tuple[Class, _Pending]) -> tuple[bool, int]:
    """What comes first of several classes."""
    told_class, pending = waiting
    return pending.failing_since_s is not None, FIRST_OF_ALL.index(told_class)
