"""How each part of the house is: service, worker, guardian, devices. Asks nobody; says what is known at this moment."""

import time
from typing import Any

from acquisition.states import State
from api.events.log import EventLog
from api.guardian_process import SILENCE_S
from api.hand.heard import Word
from api.running_job import RunningJob
from api.service import Service


def health(service: Service, log: EventLog) -> dict[str, Any]:
    """A word for each part, and for each device that was ever asked.

    `service`: working, hindered (by what `status` lists under `troubles`), over. `worker`: idle, starting, working,
    died (and is started again). `guardian`: idle, guarding, retracted (it had to), silent. A device: ok, failed, in
    doubt (the last tile failed), not asked since when it was well last.
    """
    running = service.running()
    return {
        "service": "over" if service.over else "hindered" if service.status()["troubles"] else "working",
        "worker": _worker(running, log),
        "guardian": _guardian(running),
        "devices": _devices(service, running),
    }


def _worker(running: RunningJob | None, log: EventLog) -> str:
    if running is None or running.job.run is None:
        return "idle"
    run, heard = log.worker
    if run != running.job.run:
        return "starting"
    return "died" if heard == "worker_died" else "working"


def _guardian(running: RunningJob | None) -> str:
    heart = running.heart if running and running.state in (State.ACQUIRING, State.PAUSED) else None
    if heart is None or heart.guardian.resting:  # between two runs, or on a rig without a probe
        return "idle"
    if heart.guardian.silence_s(time.monotonic()) > SILENCE_S:
        return "silent"
    return "retracted" if heart.retracted else "guarding"


def _devices(service: Service, running: RunningJob | None) -> dict[str, str]:
    heard = service.by_hand.heard
    doubtful = running is not None and running.is_in_doubt
    acquiring = running is not None and running.state is State.ACQUIRING  # a tile may take longer than a word is young

    def in_a_word(word: Word) -> str:
        if word.wrong is not None:
            return "failed"
        if doubtful:
            return "in doubt"
        return f"not asked since {word.at}" if heard.is_old(word) and not acquiring else "ok"

    return {name: in_a_word(word) for name, word in heard.last().items()}
