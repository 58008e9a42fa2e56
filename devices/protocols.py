"""What each kind of device promises; every driver fulfils one of these.

All calls block, and any thread may make them. Each raises `DeviceError` (`errors.py`) and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Positioner(Protocol):
    """Something with named axes that goes to absolute positions."""

    @property
    def name(self) -> str: ...

    @property
    def axes(self) -> tuple[str, ...]: ...

    @property
    def limits_um(self) -> Mapping[str, tuple[float, float]]:
        """Lowest and highest target of each axis: the rig file's and the controller's, the tighter wins."""

    def start_move(self, targets_um: Mapping[str, float]) -> None:
        """Send one command for all axes named, and return at once.

        Raises:
            OutOfRange: one of the targets is outside `limits_um`; nothing was sent, for no axis.
            DeviceRejected: the controller refused, for instance with its servo or motor off.
        """

    def wait_settled(self) -> None:
        """Return once the move begun last has settled at its target; at once if none was begun.

        Raises:
            DeviceTimeout: not settled by a deadline computed from distance and speed.
            Stopped: `stop()` was called since the move was begun.
        """

    def move_to(self, targets_um: Mapping[str, float]) -> None:
        """`start_move`, then wait for that very move; raises what both raise."""

    def read_position_um(self) -> dict[str, float]:
        """Ask the hardware where all axes are."""

    def stop(self) -> None:
        """Stop all axes now, also while another thread waits in a move: that thread leaves with `Stopped`.

        Returns when the controller has taken the command; a heavy stage may still be slowing down.
        """

    def close(self) -> None:
        """Let go of the connection without moving anything; may be called twice."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One exposure: `pixels` (y, x), and the `number` by which repeated or lost frames are noticed."""

    pixels: NDArray[np.uint16]
    number: int


class Camera(Protocol):
    """Something that exposes one frame when asked."""

    @property
    def name(self) -> str: ...

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Rows and columns of every frame."""

    def set_exposure_s(self, exposure_s: float) -> None:
        """Use this exposure time from the next frame on."""

    def snap(self) -> Frame:
        """Expose one frame that begins after this call.

        Raises:
            DeviceTimeout: no frame by a deadline computed from the exposure.
            ProtocolError: the exposure ended without a frame, or with one of the wrong shape.
            Stopped: `stop()` was called meanwhile.
        """

    def stop(self) -> None:
        """Give up the exposure under way, if any; the thread that waits for it leaves with `Stopped`."""

    def close(self) -> None:
        """Let go of the camera; may be called twice."""


class ForceSensor(Protocol):
    """Something that tells the force on the probe."""

    @property
    def name(self) -> str: ...

    def read_force_nn(self) -> float:
        """Ask for the force now.

        Raises:
            DeviceRejected: the detector is saturated; the true force is unknown and beyond its range.
        """

    def close(self) -> None:
        """Let go of the connection; may be called twice."""
