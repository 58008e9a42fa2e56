"""What each device of a rig says, or is known to have said last; looking at a rig moves nothing on it."""

from collections.abc import Callable, Mapping
from typing import Any

from acquisition.journal import Attempt
from api.hand.by_hand import ByHand
from api.hand.errors import NoSuchDevice, RigTaken
from devices.errors import DeviceError
from devices.rig import Rig, RigSettings
from devices.rig_lock import RigInUse
from devices.settings import DriverSettings

MOVED_BY_CONNECTING = ("start_up", "motor_on_connect", "home_on_connect")


def devices(hand: ByHand, last: Attempt | None) -> list[dict[str, Any]]:
    """Every device of the rig.

    Args:
        last: what the run under way took last: while it has the rig, nobody else asks the devices.
    """
    settings = hand.settings()
    readings = hand.readings.ask(lambda: _from_rig(hand, settings)) or (_from_run(last) if last else {})
    return [_facts(hand, name, device, readings.get(name, {})) for name, device in settings.devices.by_role().items()]


def device(hand: ByHand, last: Attempt | None, name: str) -> dict[str, Any]:
    """One of them.

    Raises:
        NoSuchDevice
    """
    found = next((facts for facts in devices(hand, last) if facts["name"] == name), None)
    if found is None:
        raise NoSuchDevice(f"device {name!r}: the rig has none of that name")
    return found


def health(hand: ByHand) -> dict[str, dict[str, Any]]:
    """Of each device that was ever asked, whether it was well then; asks nobody."""
    return {
        name: {"ok": word.wrong is None, "error": word.wrong, "at": word.at} for name, word in hand.heard.last().items()
    }


def _facts(hand: ByHand, name: str, settings: DriverSettings, reading: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "kind": settings.kind,
        "driver": settings.driver,
        **health(hand).get(name, {"ok": None, "error": None, "at": None}),
        "taken_by": hand.taken,
        "reading": dict(reading) or None,
    }


def _from_run(last: Attempt) -> dict[str, dict[str, Any]]:
    """Of the tile that was taken last."""
    position_um = {"x": last.actual_x_um, "y": last.actual_y_um, "z": last.actual_z_um}
    found: dict[str, dict[str, Any]] = {
        "scanner": {"position_um": {axis: place for axis, place in position_um.items() if place is not None}},
        "camera": {"mean": last.mean, "sd": last.sd},
        "force": {"force_nn": last.force_nn},
    }
    return {name: reading | {"tile": last.tile, "at": last.started_at} for name, reading in found.items()}


def _from_rig(hand: ByHand, settings: RigSettings) -> dict[str, dict[str, Any]]:
    """Asked just now; of a rig that is closed only if to open it moves nothing, and nobody else has it."""
    if hand.taken or not (hand.is_open or opens_quietly(settings)):
        return {}
    try:
        with hand.rig() as rig:
            names = [name for name in settings.devices.by_role() if getattr(rig, name) is not None]
            return {name: _asked(hand, rig, name) for name in names}
    except (DeviceError, RigInUse, RigTaken):  # of a device that did not open, `heard` tells
        return {}


def opens_quietly(settings: RigSettings) -> bool:
    """Whether connecting to a rig sends queries only."""
    return not any(
        getattr(device, key, None) for device in settings.devices.by_role().values() for key in MOVED_BY_CONNECTING
    )


def _asked(hand: ByHand, rig: Rig, name: str) -> dict[str, Any]:
    device = getattr(rig, name)
    if hand.taken:
        raise RigTaken(hand.taken)
    try:
        with hand.heard.asking(name):
            return _ASK[rig.settings.devices.by_role()[name].kind](device)
    except DeviceError:
        return {}


_ASK: dict[str, Callable[[Any], dict[str, Any]]] = {
    "positioner": lambda device: {"position_um": device.read_position_um(), "limits_um": dict(device.limits_um)},
    "camera": lambda device: {"frame_shape_px": list(device.frame_shape)},
    "force": lambda device: {"force_nn": device.read_force_nn()},
}
