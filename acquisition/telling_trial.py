"""Finding out in the evening whether anybody would be told at night."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from acquisition.events import Class
from acquisition.journal import Event, utc_now
from acquisition.progress import Progress
from acquisition.telling_channel import deliver
from acquisition.telling_message import Message
from acquisition.telling_webhook import NotTold
from devices.telling_settings import TellingSettings


@dataclass(frozen=True)
class Trial:
    """What came of a test message; `trouble` is empty if it arrived everywhere."""

    channel: str
    trouble: str


def try_channels(settings: TellingSettings, rig: str) -> Iterator[Trial]:
    """Send a test message by each channel of the rig called `rig`, whatever classes it wants."""
    event = Event(0, utc_now(), "test_message", {"reason": "sent on demand; nothing is being acquired"})
    message = Message(rig, "none", Class.STARTED, [event], 1, Progress(0, 0, None), None)
    for channel in settings.channels:
        try:
            trouble = deliver(channel, message)
        except NotTold as error:
            trouble = str(error)
        yield Trial(channel.name, trouble)


def unset_secrets(settings: TellingSettings) -> list[str]:
    """For each channel that lacks a variable of the environment, which; a reason to warn before a run."""
    return [
        f"tell: {channel.name}: the environment variable {variable} is not set, nobody will be told by it"
        for channel in settings.channels
        for variable in channel.variables
        if variable not in os.environ
    ]
