"""The 2 x 2 matrix that leads from the camera's pixels to the stage, and what can be read off it.

What lies (x, y) pixels from the middle of a frame lies `matrix` @ (x, y) micrometres from the scanner's place; x to
the right, y downwards.
"""

import math

Matrix = tuple[tuple[float, float], tuple[float, float]]

LEAST_SINE = 0.1
"""Of the angle between the directions of rows and columns: below, the two hardly tell two directions apart."""


def determinant(matrix: Matrix) -> float:
    """Area of a pixel, um²; negative where the picture is mirrored."""
    (a, b), (c, d) = matrix
    return a * d - b * c


def is_usable(matrix: Matrix) -> bool:
    """Tell whether it can be inverted without blowing up errors."""
    (a, b), (c, d) = matrix
    sides = math.hypot(a, c) * math.hypot(b, d)
    return all(map(math.isfinite, (a, b, c, d))) and sides > 0 and abs(determinant(matrix)) >= LEAST_SINE * sides


def pixel_size_um(matrix: Matrix) -> float:
    """Side of the square that is as large as a pixel."""
    return math.sqrt(abs(determinant(matrix)))


def rotation_deg(matrix: Matrix) -> float:
    """Angle of the nearest rotation: from the stage's x towards its y; of a mirrored picture, before mirroring y."""
    (a, b), (c, d) = _unmirrored(matrix)
    return math.degrees(math.atan2(c - b, a + d))


def shear_deg(matrix: Matrix) -> float:
    """By how much less than a right angle rows and columns enclose on the stage."""
    (a, b), (c, d) = _unmirrored(matrix)
    return 90.0 - math.degrees(math.atan2(a * d - b * c, a * b + c * d))


def inverse(matrix: Matrix) -> Matrix:
    """From the stage to the camera's pixels."""
    (a, b), (c, d) = matrix
    area = determinant(matrix)
    return ((d / area, -b / area), (-c / area, a / area))


def applied(matrix: Matrix, x: float, y: float) -> tuple[float, float]:
    """The product with a pair (x, y)."""
    (a, b), (c, d) = matrix
    return a * x + b * y, c * x + d * y


def _unmirrored(matrix: Matrix) -> Matrix:
    (a, b), (c, d) = matrix
    return matrix if determinant(matrix) >= 0 else ((a, -b), (c, -d))
