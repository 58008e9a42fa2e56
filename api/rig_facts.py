"""What a rig file says that people plan with: the field of view, the travel, and the interlocks; asks no device."""

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from acquisition.field import Field
from acquisition.interlocks import with_disk_floor
from acquisition.readiness import interlocks_now
from api.scan import limits_of
from devices.interlock_settings import DeviceSignal, FileSignal, HttpSignal, Interlock
from devices.rig import RigSettings
from devices.settings import DeflectionSettings


def rig_facts(settings: RigSettings, runs: Path) -> dict[str, Any]:
    """A rig as its file has it; `limits_um` lacks axes whose limits only the controller knows.

    Args:
        runs: where runs are made; an interlock watches the disk there.
    """
    field, force = Field.calibrated(settings.calibration), settings.devices.force
    return {
        "name": settings.name,
        "pixel_size_um": field.pixel_size_um,
        "field_um": list(field.size_um),
        "field_corners_um": [list(corner) for corner in field.corners_um()],
        "limits_um": {axis: list(span) for axis, span in limits_of(settings).items()},
        "drivers": {name: device.driver for name, device in settings.devices.by_role().items()},
        "probe_rides_on": force.rides_on if isinstance(force, DeflectionSettings) else None,
        "interlocks": _interlocks(settings, runs),
    }


def _interlocks(settings: RigSettings, runs: Path) -> list[dict[str, Any]]:
    wrong = [line for lines in interlocks_now(settings, runs) for line in lines]
    return [_rule(rule, wrong) for rule in with_disk_floor(settings.interlocks, shutil.disk_usage(runs).total)]


def _rule(rule: Interlock, wrong: list[str]) -> dict[str, Any]:
    """One rule, and what it has against a run now; what a device reads only runs look at."""
    prefix = f"interlock {rule.name}: "
    return {
        "name": rule.name,
        "watches": _watched(rule),
        "trips": _condition(rule),
        "action": rule.action,
        "resume": rule.resume,
        "is_read_now": not isinstance(rule.signal, DeviceSignal),
        "wrong": next((line.removeprefix(prefix) for line in wrong if line.startswith(prefix)), None),
    }


def _watched(rule: Interlock) -> str:
    match rule.signal:
        case DeviceSignal(device=device, reading=reading):
            return f"{reading} of {device}"
        case HttpSignal(url=url, key=key):  # without a key that its query may carry
            address = urlsplit(str(url))
            return f"{key} at {address.hostname}{address.path}".strip()
        case FileSignal(path=path):
            return f"file {path.name}"
    return "free disk space, GB"


def _condition(rule: Interlock) -> str:
    limits = ("below", rule.below), ("above", rule.above), ("other than", rule.other_than)
    found = [
        f"{word} {limit:g}" if isinstance(limit, float) else f"{word} {limit}"
        for word, limit in limits
        if limit is not None
    ]
    return " or ".join(found) or "cannot be read"
