"""What must hold before and during a run: the rig file's interlocks, read again and again, and what they do.

Every rule is watched by a thread of its own, so that a web server that does not answer delays no other rule.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self

from acquisition.instructions import Instructions
from acquisition.interlock_signals import READING_FAILED, SIGNAL_S, FreeBytes, Value, read
from devices.errors import DeviceError
from devices.interlock_settings import DiskSignal, Interlock
from devices.rig import Rig
from devices.troubles import overcoming

MISSES = 3
"""Failures in a row after which a signal counts as missing: one answer may be lost on any line."""
DISK_FLOOR_GB = 1.0
DISK_FLOOR_SHARE = 0.02
"""Of a disk that is smaller than 50 GB, where 1 GB would be too much to keep free."""
DISK_POLL_S = 2.0
JOIN_S = 2 * SIGNAL_S

Change = Literal["tripped", "cleared", ""]


class Tripping:
    """Whether one rule has tripped, from one reading to the next; asks nobody and does nothing."""

    def __init__(self, rule: Interlock) -> None:
        self._rule = rule
        self._misses = 0
        self._differs_since_s: float | None = -math.inf  # what is wrong at first has been so for longer than we know
        self.tripped = False
        self.reason = ""
        """What was wrong when it tripped, or was wrong last."""

    def judge(self, value: Value | None, now_s: float) -> Change:
        """Take a reading, None for one that failed, and say whether the rule trips or clears by it."""
        self._misses = self._misses + 1 if value is None else 0
        if value is None and (self._misses < MISSES or self._rule.missing == "ignore"):
            return ""
        wrong = wrong_with(self._rule, value)
        self.reason = wrong or self.reason
        if bool(wrong) == self.tripped:
            self._differs_since_s = None
            return ""
        if self._differs_since_s is None:
            self._differs_since_s = now_s
        if now_s - self._differs_since_s < (self._rule.for_s if wrong else self._rule.clear_s):
            return ""
        self.tripped, self._differs_since_s = bool(wrong), None
        return "tripped" if wrong else "cleared"

    def trip(self, reason: str) -> Change:
        """Trip at once, whatever the rule says of times and of signals that are missing."""
        already, self.tripped = self.tripped, True
        self.reason, self._differs_since_s = reason, None
        return "" if already else "tripped"


def wrong_with(rule: Interlock, value: Value | None) -> str:
    """What a rule has against a value, None for one that is missing; empty if nothing."""
    if value is None:
        return f"interlock {rule.name}: the signal cannot be read"
    if rule.other_than is not None:
        wrong = f"is not {_shown(rule.other_than)}" if value != rule.other_than else ""
    elif rule.below is not None and float(value) < rule.below:
        wrong = f"is below {rule.below:g}"
    elif rule.above is not None and float(value) > rule.above:
        wrong = f"is above {rule.above:g}"
    else:
        wrong = ""
    return f"interlock {rule.name}: {_shown(value)} {wrong}" if wrong else ""


def _shown(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else value or "(empty)"


def with_disk_floor(rules: Sequence[Interlock], disk_bytes: int) -> list[Interlock]:
    """The rules, and one that keeps a disk of this size from filling up, unless one of them says how."""
    if any(isinstance(rule.signal, DiskSignal) for rule in rules):
        return list(rules)
    floor_gb = min(DISK_FLOOR_GB, DISK_FLOOR_SHARE * disk_bytes / 1e9)
    signal = DiskSignal(kind="disk_free_gb")
    name = "disk" if all(rule.name != "disk" for rule in rules) else "disk floor"  # holds go by name
    return [*rules, Interlock(name=name, signal=signal, below=floor_gb, poll_s=DISK_POLL_S)]


class InterlockWatch:
    """Watches the rules from entering to leaving, and tells the run what follows from them.

    When it has been entered each rule has been looked at once: what stood before the run holds its first move.
    `note` is `Journal.add_event`. What a rule asks for is done first, and then entered in the journal.
    """

    def __init__(
        self, rules: Sequence[Interlock], rig: Rig, told: Instructions, note: Callable[..., None], free_bytes: FreeBytes
    ) -> None:
        self._rig = rig
        self._told = told
        self._note = note
        self._free_bytes = free_bytes
        self._over = threading.Event()
        self._looked = [threading.Event() for _ in rules]
        self._threads = [
            threading.Thread(target=self._watch, args=[rule, looked], name=f"interlock {rule.name}", daemon=True)
            for rule, looked in zip(rules, self._looked, strict=True)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        for looked in self._looked:
            looked.wait(JOIN_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(JOIN_S)

    def _watch(self, rule: Interlock, looked: threading.Event) -> None:
        state = Tripping(rule)
        while not self._over.is_set():
            value = None
            try:
                with suppress(*READING_FAILED), overcoming(DeviceError):
                    value = read(rule, self._rig, self._free_bytes)
                change = state.judge(value, time.monotonic())
            except Exception as error:  # a rule that nobody looks after must not pass for one that holds
                change = state.trip(f"interlock {rule.name}: it cannot be judged: {type(error).__name__}: {error}")
            self._follow(rule, state, change, value)
            looked.set()
            self._over.wait(rule.poll_s)

    def _follow(self, rule: Interlock, state: Tripping, change: Change, value: Value | None) -> None:
        try:
            if change == "tripped":
                self._act(rule, state.reason)
            elif change == "cleared":
                self._let_go(rule)
        finally:
            if change:
                self._told.enter()
                with suppress(OSError):  # a full disk has a rule of its own, and must not end this one
                    self._note(
                        f"interlock_{change}", name=rule.name, value=value, action=rule.action, reason=state.reason
                    )

    def _act(self, rule: Interlock, reason: str) -> None:
        match rule.action:
            case "pause":
                self._told.hold(rule.name, reason, rule.resume == "manual")
            case "retract":
                self._told.hold(rule.name, reason, rule.resume == "manual")
                with overcoming(DeviceError):  # the engine, which pauses now, retracts too
                    self._rig.retract()
            case "stop":
                self._told.stop(reason)
            case "abort":
                self._told.abort(reason)

    def _let_go(self, rule: Interlock) -> None:
        if rule.action not in ("pause", "retract"):
            return
        if rule.resume == "manual":
            self._told.pause("now", f"interlock {rule.name} has cleared, and waits to be told to go on")
        self._told.let_go(rule.name)


def standing(rules: Sequence[Interlock], rig: Rig | None, free_bytes: FreeBytes) -> tuple[list[str], list[str]]:
    """What stands against a run before it begins, and what is only to be warned of; of a closed rig no device is asked.

    How long a rule may be broken does not count here.
    """
    problems: list[str] = []
    warnings: list[str] = []
    for rule in rules:
        if rig is None and rule.signal.kind == "device":
            continue
        try:
            wrong = wrong_with(rule, read(rule, rig, free_bytes))
        except READING_FAILED as error:
            wrong = f"interlock {rule.name}: the signal cannot be read: {str(error) or type(error).__name__}"
            warns = rule.missing == "ignore" or rule.action == "warn"
        else:
            warns = rule.action == "warn"
        if wrong:
            (warnings if warns else problems).append(wrong)
    return problems, warnings
