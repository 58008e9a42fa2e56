"""One user of a rig at a time on a machine: who holds it keeps a file locked, and the lock ends with its process."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devices.rig_file import RigSettings


class RigInUse(RuntimeError):
    """Another process has the rig."""


@contextmanager
def holding(settings: RigSettings) -> Iterator[None]:
    """Hold the rig over the block; by its scanner, whatever file describes it.

    Raises:
        RigInUse: another process holds it, or another thread of this one.
    """
    with _lock_file(settings).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise RigInUse(f"rig {settings.name}: process {file.read().strip() or 'unknown'} uses it") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _lock_file(settings: RigSettings) -> Path:
    """A file that all users of this machine share, named after the scanner's driver and address."""
    scanner = settings.devices.scanner
    address = {key: getattr(scanner, key) for key in ("driver", "host", "port", "url") if hasattr(scanner, key)}
    name = hashlib.sha256(repr(sorted(address.items())).encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"nanoraster-rig-{name}.lock"
    if not path.exists():
        path.touch()
        path.chmod(0o666)
    return path
