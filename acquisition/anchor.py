"""An anchor: a field of the specimen that is found again, with the frame that it is compared with."""

import io
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acquisition.durable import sync
from acquisition.sweeps import APPROACH_UM
from devices.errors import OutOfRange
from devices.rig import Rig
from reconstruction.registration import register

MOST_SIDE_PX = 1024
"""Of the middle of a frame that is compared: known to a hundredth of a pixel, in 0.1 s."""
FARTHEST_PART = 0.25
"""Of the field; what seems to have moved further is more likely a wrong match."""

Vector = NDArray[np.float64]


class AnchorLost(Exception):
    """The field was not recognised, or seems to be where it cannot have gone."""


class Anchor:
    """Lands on the field and compares; the reference frame lies in a file, which outlives the process."""

    def __init__(self, rig: Rig, camera_to_stage_um: Vector, file: Path) -> None:
        """Find the reference of an earlier process, if it left one."""
        self._rig, self._to_um, self._file = rig, camera_to_stage_um, file
        self.pixel_um = math.sqrt(abs(float(np.linalg.det(camera_to_stage_um))))
        self._reference = self._load()

    @property
    def field_um(self) -> float:
        """The shorter side of what is compared."""
        return 0.0 if self._reference is None else min(self._reference.shape) * self.pixel_um

    @property
    def has_reference(self) -> bool:
        """Whether there is a frame to compare with."""
        return self._reference is not None

    def take_reference(self, place_um: Vector) -> None:
        """Land at a place (x, y) and keep what is seen there; returns when it is durable.

        Raises:
            DeviceError: a device failed.
            OSError: it cannot be stored.
        """
        self._reference = self._frame_at(place_um)
        self._save(self._reference)

    def shift_at_um(self, place_um: Vector) -> tuple[Vector, float]:
        """Land at a place; how far (x, y) what is seen lies from the reference on the specimen, and the match's score.

        Raises:
            AnchorLost: the field is not recognised, or too far away, or the place is out of the scanner's reach.
            DeviceError: a device failed.
        """
        assert self._reference is not None
        frame = self._frame_at(place_um)
        if frame.shape != self._reference.shape:
            raise AnchorLost(f"the camera's frame is {frame.shape}, the reference {self._reference.shape}")
        edge = register(0, 1, self._reference, frame, (0.0, 0.0))
        if not edge.accepted:
            raise AnchorLost(f"not recognised, score {edge.score:.3f}")
        farthest_px = FARTHEST_PART * min(frame.shape)
        if math.hypot(edge.dx_px, edge.dy_px) > farthest_px:
            raise AnchorLost(f"({edge.dx_px:.1f}, {edge.dy_px:.1f}) px away, which is more than {farthest_px:.0f} px")
        return self._to_um @ np.array([edge.dx_px, edge.dy_px]), edge.score

    def land(self, place_um: Vector) -> None:
        """Go to a place (x, y), always from below, so that the stage's play is the same each time.

        Raises:
            AnchorLost: it is out of the scanner's reach.
            DeviceError: a device failed.
        """
        scanner = self._rig.scanner
        targets_um = {"x": float(place_um[0]), "y": float(place_um[1])}
        before_um = {axis: max(um - APPROACH_UM, scanner.limits_um[axis][0]) for axis, um in targets_um.items()}
        try:
            scanner.move_to(before_um)
            scanner.move_to(targets_um)
        except OutOfRange as refusal:
            raise AnchorLost(str(refusal)) from refusal

    def _frame_at(self, place_um: Vector) -> NDArray[np.uint16]:
        self.land(place_um)
        return _middle(self._rig.camera.snap().pixels)

    def _load(self) -> NDArray[np.uint16] | None:
        try:
            reference: NDArray[np.uint16] = np.load(self._file)
        except (OSError, ValueError, EOFError):  # none, or one that was not written by us
            return None
        return reference

    def _save(self, frame: NDArray[np.uint16]) -> None:
        written = io.BytesIO()
        np.save(written, frame)
        partial = self._file.with_suffix(".partial")
        partial.write_bytes(written.getbuffer())
        sync(partial)
        partial.replace(self._file)
        sync(self._file.parent)


def _middle(frame: NDArray[np.uint16]) -> NDArray[np.uint16]:
    cut = []
    for side in frame.shape:
        length = min(side, MOST_SIDE_PX)
        cut.append(slice((side - length) // 2, (side - length) // 2 + length))
    return np.ascontiguousarray(frame[tuple(cut)])
