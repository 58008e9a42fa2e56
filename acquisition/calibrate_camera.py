"""How the camera looks at the stage, and the stage's play: known moves, and how far the picture went with each.

The stage misses each target by pixels that its sensors do not see, while two pictures of the same place tell their
displacement to a few hundredths of a pixel. So the stage is swept over several fields of view, along x and along y, in
steps that leave most of the picture in view; the sum of many small displacements is then known far better than where
the stage went, and its error is divided by the length of the sweep and by the number of places. Each sweep goes up,
which takes up the backlash, and comes down again, which shows it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from acquisition.camera_fit import CameraFit, Chain, Undetermined, fit_camera
from acquisition.instructions import Instructions
from devices.camera_matrix import Matrix, applied, inverse, is_usable
from devices.protocols import Camera, Positioner
from reconstruction.registration import register

SPAN_FIELDS = 4.0  # length of a sweep
STEP_FIELDS = 0.3  # leaves 0.7 of the picture in view
APPROACH_FIELDS = 0.1  # beyond the ends of a sweep, to come from the right side; far more than any play
FIRST_STEP_FIELDS = 1 / 8  # the whole of it lies within the widest search, whichever way the camera is turned
MOST_PX = 1024  # of a side of the pictures that are compared: more costs time, and tells nothing that is needed
STAGGER = 0.382  # of a step: no sweep stops where another did, for an error may belong to a place
LEAST_SWEEPS, MOST_SWEEPS = 2, 12  # along each axis
ENOUGH_PIXEL_SIZE = 5e-4  # one standard deviation, as a part of it: a quarter of the 0.2 % that are asked for
ENOUGH_ROTATION_DEG = 0.015  # three times that is less than the 0.05 that are asked for
LEAST_SEEN = 0.5  # of all steps; fewer, and it is doubtful what the others show

AXES = ("x", "y")
Say = Callable[[str], None]
Pixels = NDArray[np.uint16]
PlaceUm = tuple[float, float]


@dataclass(frozen=True)
class Room:
    """The rectangle of scanner targets within which a calibration moves, and the shorter side of a picture there."""

    x_um: tuple[float, float]
    y_um: tuple[float, float]
    side_um: float

    @property
    def centre_um(self) -> PlaceUm:
        """Its middle (x, y)."""
        return sum(self.x_um) / 2, sum(self.y_um) / 2


@dataclass(frozen=True)
class Stop:
    """A place to go to; whether an axis comes there from above, and whether a picture is taken."""

    place_um: PlaceUm
    downwards: tuple[bool, bool] = (False, False)
    pictured: bool = True


def room_around(
    centre_um: PlaceUm,
    frame_shape_px: tuple[int, int],
    pixel_size_um: float,
    limits_um: Mapping[str, tuple[float, float]],
) -> Room:
    """Lay the sweeps around a place, moved as far as the limits make it.

    Raises:
        Undetermined: the limits leave less room than two steps.
    """
    side = min(*frame_shape_px, MOST_PX) * pixel_size_um
    wanted_um = (SPAN_FIELDS + 2 * APPROACH_FIELDS) * side
    spans = []
    for axis, centre in zip(AXES, centre_um, strict=True):
        low, high = limits_um[axis]
        length = min(wanted_um, high - low)
        if length < (2 * STEP_FIELDS + 2 * APPROACH_FIELDS) * side:
            raise Undetermined(f"limits_um of {axis}, {low:g}..{high:g} um, leave no room for two steps")
        begin = min(max(centre - length / 2, low), high - length)
        spans.append((begin, begin + length))
    return Room(spans[0], spans[1], side)


def measure_camera(
    scanner: Positioner, camera: Camera, room: Room, likely_um: Matrix, told: Instructions, say: Say
) -> CameraFit:
    """Sweep until the matrix is known well enough, or as often as is sensible.

    Args:
        likely_um: the camera's matrix as it is supposed to be; needed only where the picture repeats itself.

    Raises:
        Undetermined: too little can be recognised in what the camera sees here.
        Cut: it was told to end.
        DeviceError: a device failed.
    """
    photographer = _Photographer(scanner, camera, told)
    matrix_um = _first_look(photographer, room, likely_um)
    chains: list[Chain] = []
    for number in range(MOST_SWEEPS):
        for axis in range(len(AXES)):
            chains.append(photographer.chain(sweep(room, axis, number), matrix_um))
        fit = _fitted(chains)
        matrix_um = fit.matrix_um
        say(
            f"camera: {fit.pictures} pictures, pixel {fit.pixel_size_um * 1000:.4g} nm +- "
            f"{100 * fit.pixel_size_sd_um / fit.pixel_size_um:.3f} %, turned {fit.rotation_deg:.3f} +- "
            f"{fit.rotation_sd_deg:.3f} deg"
        )
        if number + 1 >= LEAST_SWEEPS and is_enough(fit):
            break
    return fit


def is_enough(fit: CameraFit) -> bool:
    """Tell whether the matrix is known as well as it should be."""
    return fit.pixel_size_sd_um <= ENOUGH_PIXEL_SIZE * fit.pixel_size_um and fit.rotation_sd_deg <= ENOUGH_ROTATION_DEG


def sweep(room: Room, axis: int, number: int) -> list[Stop]:
    """Go up along one axis through the middle of the room, beyond the end, and down again; each time elsewhere."""
    low, high = (room.x_um, room.y_um)[axis]
    approach, other = APPROACH_FIELDS * room.side_um, room.centre_um[1 - axis]
    length = high - low - 2 * approach
    steps = math.ceil(length / (STEP_FIELDS * room.side_um))
    step = length / steps
    shift = step * ((number + 1) * STAGGER % 1.0)
    places = [low + approach + shift + step * k for k in range(steps)]
    between = [place + step / 2 for place in places if place + step / 2 <= high - approach]

    def stop(along: float, downwards: bool, pictured: bool, across: float = other) -> Stop:
        place = (along, across) if axis == 0 else (across, along)
        came = (downwards, False) if axis == 0 else (False, downwards)
        return Stop(place, came, pictured)

    return [
        stop(low, False, False, other - approach),
        *(stop(place, False, True) for place in places),
        stop(high, False, False),
        *(stop(place, True, True) for place in reversed(between)),
    ]


class _Photographer:
    """Goes to places, photographs them, and sees how far each picture lies from the one before."""

    def __init__(self, scanner: Positioner, camera: Camera, told: Instructions) -> None:
        self._scanner = scanner
        self._camera = camera
        self._told = told

    def chain(self, stops: Sequence[Stop], matrix_um: Matrix) -> Chain:
        """Photograph a sweep whose pictures follow each other by less than a field."""
        stage, downwards, steps = [], [], []
        before: tuple[PlaceUm, Pixels] | None = None
        for stop in stops:
            place = self.go(stop.place_um)
            if not stop.pictured:
                continue
            picture = self.picture()
            if before is not None:
                moved = applied(inverse(matrix_um), place[0] - before[0][0], place[1] - before[0][1])
                steps.append(seen_step(before[1], picture, [moved]) or (np.nan, np.nan))
            stage.append(place)
            downwards.append(stop.downwards)
            before = place, picture
        return Chain(np.array(stage), np.array(downwards), np.array(steps))

    def go(self, place_um: PlaceUm) -> PlaceUm:
        """Move there; return where the sensors say that it is."""
        self._told.wait(0.0)
        self._scanner.move_to({"x": place_um[0], "y": place_um[1]})
        position_um = self._scanner.read_position_um()
        return position_um["x"], position_um["y"]

    def picture_at(self, place_um: PlaceUm) -> Pixels:
        """Move there, and photograph."""
        self.go(place_um)
        return self.picture()

    def picture(self) -> Pixels:
        """The middle of a frame, at most `MOST_PX` on a side."""
        pixels = self._camera.snap().pixels
        top, left = (max(side - MOST_PX, 0) // 2 for side in pixels.shape)
        return pixels[top : top + MOST_PX, left : left + MOST_PX]


def seen_step(first: Pixels, second: Pixels, guesses_px: Sequence[PlaceUm]) -> PlaceUm | None:
    """How far the second picture lies from the first, px (x, y), near a guess; None if that cannot be seen."""
    for guess in guesses_px:
        edge = register(0, 1, first, second, guess)
        if edge.accepted and max(edge.var_x_px2, edge.var_y_px2) < 1.0:
            return edge.dx_px, edge.dy_px
    return None


def _first_look(photographer: _Photographer, room: Room, likely_um: Matrix) -> Matrix:
    """Find roughly how the camera looks at the stage, whichever way it is turned, by a small step along each axis."""
    step, (x, y) = FIRST_STEP_FIELDS * room.side_um, room.centre_um
    photographer.go((x - step, y - step))
    pictures = [photographer.picture_at(place) for place in ((x, y), (x + step, y), (x + step, y + step))]
    columns = []
    for axis, (first, second) in enumerate(pairwise(pictures)):
        likely = applied(inverse(likely_um), *((step, 0.0) if axis == 0 else (0.0, step)))
        seen = seen_step(first, second, [likely, (0.0, 0.0)])
        if seen is None:
            return likely_um
        columns.append(seen)
    (a, b), (c, d) = columns
    if not is_usable(((a, c), (b, d))):
        return likely_um
    (e, f), (g, h) = inverse(((a, c), (b, d)))
    return (step * e, step * f), (step * g, step * h)


def _fitted(chains: Sequence[Chain]) -> CameraFit:
    steps = np.concatenate([chain.step_px for chain in chains])
    seen = int(np.isfinite(steps).all(axis=1).sum())
    if seen < LEAST_SEEN * len(steps):
        raise Undetermined(
            f"camera: only {seen} of {len(steps)} pictures match their neighbours: too few features here, or they "
            f"repeat; choose another place with --at, light or focus"
        )
    return fit_camera(chains)
