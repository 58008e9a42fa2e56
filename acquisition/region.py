"""The part of the specimen to be covered: a rectangle or a polygon in scanner coordinates, or where a video leads."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SerializeAsAny, field_validator

from acquisition.polygon import Point, meeting_sides
from devices.model import Model, Number, within

MOST_CORNERS = 1000
"""Every pair of sides is looked at; an outline drawn by hand has fewer."""

FARTHEST_UM = 1e6
"""A metre: no stage goes further, and what is computed from it stays finite."""
PlaceUm = Annotated[Number, AfterValidator(within(-FARTHEST_UM, FARTHEST_UM))]


class Region(Model):
    """A rectangle along the scanner's axes."""

    x_um: tuple[PlaceUm, PlaceUm]
    y_um: tuple[PlaceUm, PlaceUm]

    @field_validator("x_um", "y_um")
    @classmethod
    def _low_before_high(cls, span_um: tuple[float, float]) -> tuple[float, float]:
        if not span_um[0] < span_um[1]:
            raise ValueError(f"the first value {span_um[0]:g} must lie below the second {span_um[1]:g}")
        return span_um

    def key(self, axis: str) -> str:
        """What says in a plan how far it reaches along an axis."""
        return f"region.{axis}_um"

    @property
    def outline_um(self) -> Sequence[Point]:
        """Its corners (x, y)."""
        (left, right), (top, bottom) = self.x_um, self.y_um
        return [(left, top), (right, top), (right, bottom), (left, bottom)]


class Polygon(Model):
    """A simple polygon, given by its corners (x, y) in order; the last one is joined to the first."""

    polygon_um: Annotated[tuple[tuple[PlaceUm, PlaceUm], ...], Field(min_length=3, max_length=MOST_CORNERS)]

    @field_validator("polygon_um")
    @classmethod
    def _simple(cls, corners: tuple[Point, ...]) -> tuple[Point, ...]:
        if sides := meeting_sides(corners):
            (x1, y1), (x2, y2) = (corners[side] for side in sides)
            raise ValueError(
                f"its sides must meet at their ends alone, but those that begin at corners {sides[0]} ({x1:g}, {y1:g}) "
                f"and {sides[1]} ({x2:g}, {y2:g}) cross or touch"
            )
        return corners

    def key(self, axis: str) -> str:
        """What says in a plan how far it reaches along an axis."""
        return "region.polygon_um"

    @property
    def outline_um(self) -> Sequence[Point]:
        """Its corners (x, y)."""
        return self.polygon_um

    @property
    def x_um(self) -> tuple[float, float]:
        """The span that it fills along x."""
        return min(x for x, _ in self.polygon_um), max(x for x, _ in self.polygon_um)

    @property
    def y_um(self) -> tuple[float, float]:
        """The span that it fills along y."""
        return min(y for _, y in self.polygon_um), max(y for _, y in self.polygon_um)


class FollowedVideo(Model):
    """Wherever the stage is moved under a video: there is no grid, and each tile is known once it is taken.

    Its places are those that the pictures show, with the centre of the first one at (0, 0).
    """

    follows: Literal["video"]

    def key(self, axis: str) -> str:
        """What says in a plan how far it reaches along an axis."""
        return "region.follows"

    @property
    def outline_um(self) -> Sequence[Point]:
        """None is known."""
        return []

    @property
    def x_um(self) -> tuple[float, float]:
        """Nothing is known to be filled."""
        return 0.0, 0.0

    @property
    def y_um(self) -> tuple[float, float]:
        """Nothing is known to be filled."""
        return 0.0, 0.0


def _of_its_kind(table: Any) -> Any:
    """Read a table as what its keys say it is, so that the reasons against it are about that alone."""
    if isinstance(table, Polygon | FollowedVideo):
        return table
    if isinstance(table, dict) and "follows" in table:
        return FollowedVideo.model_validate(table)
    if not isinstance(table, dict) or "polygon_um" not in table:
        return Region.model_validate(table)
    if also := [key for key in ("x_um", "y_um") if key in table]:
        raise ValueError(f"give polygon_um or x_um and y_um, not {' and '.join(['polygon_um', *also])}")
    return Polygon.model_validate(table)


AnyRegion = Annotated[SerializeAsAny[Region | Polygon | FollowedVideo], BeforeValidator(_of_its_kind)]
