"""Telling people that a job failed before it had a run, whose journal would have told them."""

import threading
import time
from pathlib import Path

from acquisition.events import Class
from acquisition.journal import Event, utc_now
from acquisition.layout import layout
from acquisition.plan import Plan
from acquisition.progress import Progress
from acquisition.telling_channel import END_S, FIRST_WAIT_S, deliver
from acquisition.telling_message import Message
from acquisition.telling_webhook import NotTold
from api.errors import say
from api.scan import UNBEGUN, field_of
from devices.rig import RigSettings
from devices.telling_settings import Mail, Webhook


def tell_unbegun(name: str, plan: object, settings: RigSettings, run: Path, reason: str) -> list[threading.Thread]:
    """Tell every channel of the rig that wants to know of failures, each in a thread; returns these."""
    event = Event(0, utc_now(), "run_failed", {**UNBEGUN, "reason": reason})
    progress = Progress(0, _planned(plan, settings), None)
    message = Message(name, str(run), Class.FAILED, [event], 1, progress, None)
    threads = [
        threading.Thread(target=_tell, args=(channel, message), name=f"telling {channel.name}", daemon=True)
        for channel in settings.tell.channels
        if Class.FAILED in channel.classes
    ]
    for thread in threads:
        thread.start()
    return threads


def _planned(plan: object, settings: RigSettings) -> int:
    """How many tiles the job would have had; 0 of a plan that cannot be read."""
    try:
        checked = Plan.model_validate(plan)
        return len(layout(checked, field_of(checked, settings)))
    except ValueError:
        return 0


def _tell(channel: Webhook | Mail, message: Message) -> None:
    """Tell one channel, for `END_S` at most as at the end of a run; then it is said on stderr."""
    give_up_s, wait_s = time.monotonic() + END_S, FIRST_WAIT_S
    while True:
        try:
            deliver(channel, message)
        except NotTold as trouble:
            if time.monotonic() + wait_s > give_up_s:
                say(f"{channel.name}: nobody was told that {message.run} failed: {trouble}")
                return
            time.sleep(wait_s)
            wait_s *= 2
        else:
            return
