"""Steps of a preparation: each is tried again by itself, so that one late answer does not begin it all anew."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")


class Overcome(Protocol):
    """Does a step, again if it fails, as often as a policy allows; see `Failures.overcome`."""

    def __call__(self, step: Callable[[], T], /) -> T: ...


def once(step: Callable[[], T], /) -> T:
    """Do a step; whoever wants it does what was begun with it again, if it fails."""
    return step()


class Steps:
    """Does steps: while a run prepares until they succeed, at a tile once, for there the tile is tried again."""

    def __init__(self, overcome: Overcome = once) -> None:
        self._overcome = overcome
        self._insists = False

    def __call__(self, step: Callable[[], T], /) -> T:
        """Do a step, which may be done twice.

        Raises:
            Cut: the run was told something else, or is to pause for what failed.
            DeviceError: a device failed, and the run is to end with it, or the tile to be taken again.
        """
        return self._overcome(step) if self._insists else step()

    @contextmanager
    def insisting(self) -> Iterator[None]:
        """Try again within the block what fails in it."""
        self._insists = True
        try:
            yield
        finally:
            self._insists = False
