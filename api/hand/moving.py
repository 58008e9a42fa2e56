"""What people may move, and how far: within the limits, with the probe off the specimen, and with no interlock open."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from acquisition.interlocks import standing
from api.hand.by_hand import ByHand
from api.hand.errors import BeyondLimits, HandRefused, NoSuchDevice
from devices.errors import OutOfRange
from devices.moves import refuse_outside
from devices.protocols import Positioner
from devices.rig import Rig
from devices.settings import DeflectionSettings


def move(hand: ByHand, name: str, targets_um: Mapping[str, float], folder: Path) -> dict[str, float]:
    """Go to absolute positions, the probe retracted first; where all axes of the device are then.

    Args:
        folder: where the service keeps its data: an interlock may watch the space there.

    Raises:
        NoSuchDevice, HandRefused: nothing moved.
        BeyondLimits: of the axis, or nearer to the specimen than by hand; nothing was sent.
        DeviceError: it moved, and did not arrive.
    """
    with _moving(hand, name, folder) as (rig, device):
        refuse_outside(device.name, targets_um, device.limits_um)
        _refuse_approach(rig, name, targets_um)
        rig.retract()
        device.move_to(targets_um)
        return device.read_position_um()


def home(hand: ByHand, name: str, folder: Path) -> dict[str, float]:
    """Let a device look for its zero; where its axes are then.

    Raises:
        NoSuchDevice, HandRefused: nothing moved.
        DeviceError: it moved, and did not find it.
    """
    with _moving(hand, name, folder) as (rig, device):
        search = getattr(device, "home", None)
        if search is None:
            raise HandRefused(f"{name}: its driver cannot look for a zero")
        if rig.force is not None and (name == "scanner" or _carries_probe(rig, name)):
            raise HandRefused(f"{name}: looking for its zero it would take the probe over its whole travel")
        rig.retract()
        search()
        return device.read_position_um()


@contextmanager
def _moving(hand: ByHand, name: str, folder: Path) -> Iterator[tuple[Rig, Positioner]]:
    """The open rig and one of its positioners, for nobody else to move meanwhile."""
    device_settings = hand.settings().devices.by_role().get(name)
    if device_settings is None:
        raise NoSuchDevice(f"device {name!r}: the rig has none of that name")
    if device_settings.kind != "positioner":
        raise HandRefused(f"{name}: it is a {device_settings.kind}, and does not move")
    with hand.rig() as rig:
        if not hand.moving.acquire(blocking=False):
            raise HandRefused("somebody else moves the rig at this moment")
        try:
            _refuse_open_interlock(rig, folder)
            with hand.heard.asking(name):
                yield rig, getattr(rig, name)
        except OutOfRange as error:
            raise BeyondLimits(str(error)) from error
        finally:
            hand.moving.release()


def _refuse_open_interlock(rig: Rig, folder: Path) -> None:
    wrong, _ = standing(rig.settings.interlocks, rig, lambda: shutil.disk_usage(folder).free)
    if wrong:
        raise HandRefused("; ".join(wrong))


def _refuse_approach(rig: Rig, name: str, targets_um: Mapping[str, float]) -> None:
    """Only a run brings the probe to the specimen: it watches the force, and a guardian watches it."""
    if rig.force is None or "z" not in targets_um:
        return
    z_um = targets_um["z"]
    low_um, high_um = getattr(rig, name).limits_um["z"]
    if name == "scanner" and z_um > low_um:
        raise OutOfRange(
            name,
            f"z = {z_um:g} um is outside {low_um:g}..{low_um:g} um, which is all for hands: "
            "a probe hangs above, and only a run brings it nearer",
        )
    if _carries_probe(rig, name) and z_um < (here_um := getattr(rig, name).read_position_um()["z"]):
        raise OutOfRange(
            name,
            f"z = {z_um:g} um is outside {here_um:g}..{high_um:g} um, which is all for hands: "
            "it carries the probe, and only a run brings it nearer",
        )


def _carries_probe(rig: Rig, name: str) -> bool:
    force = rig.settings.devices.force
    return isinstance(force, DeflectionSettings) and force.rides_on == name
