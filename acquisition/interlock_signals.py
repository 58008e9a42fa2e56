"""How the signals of interlocks are read."""

import json
import math
import threading
from collections.abc import Callable
from concurrent.futures import Future
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import HTTPRedirectHandler

from acquisition.web import opener
from devices.errors import DeviceError
from devices.interlock_settings import DeviceSignal, DiskSignal, FileSignal, HttpSignal, Interlock
from devices.rig import Rig

SIGNAL_S = 2.0
"""How long a web server or a disk may take for its whole answer."""
LONGEST_BYTES = 65_536
"""Of an answer or a file; a signal is a number or a word."""
READING_FAILED = (OSError, DeviceError, ValueError, HTTPException, ArithmeticError, RecursionError)
"""What a signal may raise that cannot be read: nobody there, no HTTP, no JSON or too deep, no number or too large."""

Value = float | str
_reading: dict[Path, "Future[str]"] = {}
FreeBytes = Callable[[], int]


def read(rule: Interlock, rig: Rig | None, free_bytes: FreeBytes) -> Value:
    """Read the signal of a rule once: a number, or a word where the rule is about words.

    Raises:
        READING_FAILED: one of these; it cannot be read, or is no number where there should be one.
    """
    match rule.signal:
        case DiskSignal():
            value: Any = free_bytes() / 1e9
        case DeviceSignal(device=device, reading=reading):
            value = _of_device(rig, device, reading)
        case HttpSignal(url=url, key=key):
            value = _under_key(_fetched(url), key)
        case FileSignal(path=path):
            value = _in_time(path)
    if isinstance(rule.other_than, str):
        return json.dumps(value) if isinstance(value, bool) else str(value)
    number = float(value)
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError(f"{value} is no number")
    return number


def _of_device(rig: Rig | None, device: str, reading: str) -> float:
    if device == "force":
        if rig is None or rig.force is None:
            raise ValueError("there is no force sensor")
        return rig.force.read_force_nn()
    positioner = getattr(rig, device, None)
    if positioner is None:
        raise ValueError(f"there is no {device}")
    position_um: dict[str, float] = positioner.read_position_um()
    axis = reading.removesuffix("_um")
    if axis not in position_um:
        raise ValueError(f"{device} has no axis {axis}")
    return position_um[axis]


def _fetched(url: str) -> str:
    with opener(SIGNAL_S, HTTPRedirectHandler()).open(url) as answer:
        found = _bounded(answer.read(LONGEST_BYTES + 1))
        if answer.length:  # that are still to come: half a number is another number
            raise ValueError(f"the answer ends {answer.length} bytes too early")
        return found


def _in_time(path: Path) -> str:
    """Read a file, unless a mount that does not answer keeps it; then only one thread waits for it."""
    reading = _reading.get(path)
    if reading is None or reading.done():
        reading = _reading[path] = Future()
        threading.Thread(target=_answer, args=[reading, path], name=f"read {path}", daemon=True).start()
    try:
        return reading.result(SIGNAL_S)
    except TimeoutError:
        raise TimeoutError(f"{path} has not been read after {SIGNAL_S:g} s") from None


def _answer(reading: "Future[str]", path: Path) -> None:
    try:
        reading.set_result(_text(path))
    except Exception as error:
        reading.set_exception(error)


def _text(path: Path) -> str:
    if not path.is_file():
        raise ValueError(f"{path} is not a file")
    with path.open("rb") as file:
        return _bounded(file.read(LONGEST_BYTES + 1))


def _bounded(found: bytes) -> str:
    if len(found) > LONGEST_BYTES:
        raise ValueError(f"more than {LONGEST_BYTES} bytes")
    return found.decode().strip()


def _under_key(text: str, key: str) -> Any:
    """What a key like `room.temperature_c` leads to in JSON; without a key, the text as it is."""
    if not key:
        return text
    found = json.loads(text)
    for part in key.split("."):
        if not isinstance(found, dict) or part not in found:
            raise ValueError(f"the answer has no {key}")
        found = found[part]
    if isinstance(found, dict | list) or found is None:
        raise ValueError(f"{key} is {json.dumps(found)[:40]}, no number and no word")
    return found
