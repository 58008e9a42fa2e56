"""What the camera sees of the specimen, and how its pixels lie in the scanner's frame."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from devices.camera_matrix import Matrix, pixel_size_um
from devices.rig_file import Calibration


@dataclass(frozen=True)
class Field:
    """The camera's field of view on the specimen.

    `camera_to_stage_um` takes a step in pixels (x to the right, y down) to the scanner's frame (x, y); None stands
    for a camera whose rows and columns run along the scanner's axes.
    """

    shape_px: tuple[int, int]  # rows, columns
    pixel_size_um: float
    camera_to_stage_um: Matrix | None = None

    @classmethod
    def calibrated(cls, calibration: Calibration) -> Self:
        """Take the whole sensor, as the rig was calibrated."""
        shape_px, matrix = calibration.frame_shape_px, calibration.camera_to_stage_um
        return cls(shape_px, pixel_size_um(matrix) if matrix else calibration.pixel_size_um, matrix)

    def seen_as(self, matrix_um: ArrayLike) -> "Field":
        """Give the same camera area with another matrix."""
        matrix = as_matrix(matrix_um)
        return Field(self.shape_px, pixel_size_um(matrix), matrix)

    @property
    def size_um(self) -> tuple[float, float]:
        """Width and height, along the camera's rows and columns."""
        rows, columns = self.shape_px
        return columns * self.pixel_size_um, rows * self.pixel_size_um

    @property
    def matrix_um(self) -> NDArray[np.float64]:
        """2 x 2: a step in pixels to the scanner's frame."""
        if self.camera_to_stage_um is None:
            return self.pixel_size_um * np.eye(2)
        return np.array(self.camera_to_stage_um, dtype=np.float64)

    @property
    def turn(self) -> NDArray[np.float64]:
        """2 x 2, without a unit: how the camera's axes lie in the scanner's frame."""
        return self.matrix_um / self.pixel_size_um

    def corners_um(self) -> list[tuple[float, float]]:
        """Its corners in order, from its centre, in the scanner's frame (x, y)."""
        rows, columns = self.shape_px
        corners_px = [(-columns, -rows), (columns, -rows), (columns, rows), (-columns, rows)]
        return [(x, y) for x, y in (np.array(corners_px) / 2 @ self.matrix_um.T).tolist()]

    def to_px(self, places_um: ArrayLike) -> NDArray[np.float64]:
        """Take places of the scanner's frame, (..., 2) as x, y, into pixels of the camera's axes."""
        return np.asarray(places_um, dtype=np.float64) @ np.linalg.inv(self.matrix_um).T


def as_matrix(rows: ArrayLike) -> Matrix:
    """Take 2 x 2 numbers, however they are held, as a matrix."""
    (a, b), (c, d) = np.asarray(rows, dtype=np.float64).tolist()
    return (a, b), (c, d)
