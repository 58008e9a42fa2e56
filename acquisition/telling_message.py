"""What people are told, in their words: one message about one or several events of a class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from acquisition.events import KINDS, Class
from acquisition.journal import Event
from acquisition.progress import Progress

WORDS: Mapping[str, str] = {
    "run_started": "started",
    "run_resumed": "resumed",
    "run_completed": "completed",
    "run_stopped": "stopped",
    "run_failed": "failed",
    "mosaic_failed": "the mosaic could not be made",
    "paused": "paused",
    "continued": "goes on",
    "tile_skipped": "skipped",
    "interlock_tripped": "interlock tripped",
    "interlock_cleared": "interlock cleared",
    "guardian_retracted": "the guardian retracted the probe",
    "guardian_released": "the guardian gave the rig back",
    "guardian_died": "the guardian died",
    "force_tripped": "the force tripped, the probe was retracted",
}
IN_WORDS = frozenset({"final", "for_now", "retracted", "tries_again"})  # particulars that `words` has already told
UNITS = {"nn": "nN", "um": "um", "nm": "nm", "px": "px", "s": "s", "deg": "degrees"}
WITH_PICTURE = frozenset({Class.COMPLETED, Class.FAILED, Class.PAUSED})


@dataclass(frozen=True)
class Message:
    """One message; `picture` is a PNG of the mosaic so far."""

    run: str
    folder: str
    told_class: Class
    events: Sequence[Event]  # the last ones, oldest first
    count: int  # of all events that the message is about
    progress: Progress
    picture: bytes | None

    @property
    def headline(self) -> str:
        """The message in one line."""
        said = words(self.events[-1]) if self.count == 1 else f"{self.told_class}, {self.count} times"
        return f"{self.run}: {said}, {self.progress.done} of {self.progress.planned} tiles"

    @property
    def id(self) -> str:
        """The same for a message that is sent again: the run's folder, and number and time of the last event."""
        return f"{Path(self.folder).name}-{self.events[-1].seq}-{self.events[-1].at}"

    @property
    def reason(self) -> str | None:
        """Why it happened the last time, where that is known."""
        reason = self.events[-1].data.get("reason")
        return str(reason) if reason else None

    @property
    def expected_end(self) -> datetime | None:
        """When the run will probably be done; None once it has ended, and while it is paused."""
        return self.progress.ends_at

    @property
    def text(self) -> str:
        """The whole message for people, times in the rig's own time zone."""
        lines = [self.headline, ""]
        if (earlier := self.count - len(self.events)) > 0:
            lines.append(f"{earlier} earlier ones are in the report.")
        lines += [_line(event) for event in self.events]
        lines.append("")
        if self.progress.waits_for is not None:
            lines.append(f"Paused, waits for {self.progress.waits_for}.")
        if self.expected_end is not None:
            lines.append(f"Expected end: {self.expected_end.astimezone():%A %H:%M}")
        return "\n".join([*lines, f"Run directory: {self.folder}"])


def told_kinds() -> list[str]:
    """Every kind of event that somebody may be told of."""
    return [kind for kind, told_class in KINDS.items() if told_class is not Class.NOTE]


def words(event: Event) -> str:
    """What happened, without its particulars."""
    match event.kind, event.data:
        case "tile_skipped", {"final": False}:
            return "skipped for now"
        case "paused", {"tries_again": True}:
            return "paused for now"
        case "run_stopped", {"for_now": True}:
            return "stopped for now"
        case "guardian_retracted", {"retracted": False}:
            return "THE GUARDIAN CANNOT RETRACT THE PROBE"
        case "force_tripped", {"trouble": str()}:
            return "THE FORCE TRIPPED, AND THE PROBE IS NOT FREE"
    return WORDS.get(event.kind, event.kind.replace("_", " "))


def particulars(event: Event) -> str:
    """What an event says beside its kind: its data, and the reason last."""
    given = {key: value for key, value in event.data.items() if value is not None and key not in IN_WORDS}
    reason = given.pop("reason", "")
    data = ", ".join(_particular(key, value) for key, value in given.items())
    return ": ".join(part for part in (data, str(reason)) if part)


def _line(event: Event) -> str:
    at = datetime.fromisoformat(event.at).astimezone()
    return f"{at:%H:%M:%S} {words(event)} {particulars(event)}".rstrip()


def _particular(key: str, value: object) -> str:
    """`force_nn` = 12.5 as `force 12.5 nN`."""
    name, _, suffix = key.rpartition("_")
    unit = UNITS.get(suffix)
    return f"{name} {_spelled(value)} {unit}" if name and unit else f"{key.replace('_', ' ')} {_spelled(value)}"


def _spelled(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_spelled, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
