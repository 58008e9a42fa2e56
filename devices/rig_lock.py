"""One user of a rig at a time on a machine, whoever it is and however the rig file spells the scanner's address."""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from devices.machine_lock import Taken, locked
from devices.rig_address import names_of
from devices.rig_file import RigSettings


class RigInUse(RuntimeError):
    """Another process has the rig."""


@contextmanager
def holding(settings: RigSettings) -> Iterator[None]:
    """Hold the rig over the block; by its scanner, whatever file describes it.

    Raises:
        RigInUse: another process holds it, or another thread of this one.
    """
    with ExitStack() as held:
        for name in sorted(names_of(settings.devices.scanner)):
            try:
                held.enter_context(locked(f"nanoraster-rig-{hashlib.sha256(name.encode()).hexdigest()[:16]}"))
            except Taken as taken:
                raise RigInUse(f"rig {settings.name}: process {taken.holder or 'unknown'} uses it") from None
        yield
