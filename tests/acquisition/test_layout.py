"""Layout: rectangles and polygons are covered, by upright and by turned cameras, and anew after a correction."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from acquisition.field import Field
from acquisition.layout import Correction, beyond_limits, camera_area, layout, runs
from acquisition.overlap import PlannedTile
from acquisition.plan import Plan
from acquisition.preflight import cost, problems
from devices.camera_matrix import Matrix
from devices.model import reasons

FIELD = Field((100, 100), 0.1)
RECTANGLE = {"x_um": (20.0, 50.0), "y_um": (20.0, 44.0)}
LETTER_L = ((20.0, 20.0), (30.0, 20.0), (30.0, 44.0), (60.0, 44.0), (60.0, 54.0), (20.0, 54.0))
GRAIN_UM = 0.25
"""Between the points at which covering is tested; a hole of a quarter of it would show."""


def plan(region: dict[str, Any] | None = None, **tiles: Any) -> Plan:
    return Plan.model_validate({"region": region or RECTANGLE, "tiles": {"overlap": 0.2} | tiles})


def turned(degrees: float, scale: float = 1.0, field: Field = FIELD) -> Matrix:
    angle, pixel_um = math.radians(degrees), scale * field.pixel_size_um
    cos, sin = pixel_um * math.cos(angle), pixel_um * math.sin(angle)
    return (cos, -sin), (sin, cos)


def covered(tiles: list[PlannedTile], field: Field, points_um: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points lie in one of the fields, or on its rim."""
    rows, columns = field.shape_px
    half_px = np.array([columns, rows]) / 2 + 1e-6
    found = np.zeros(len(points_um), dtype=np.bool_)
    for tile in tiles:
        found |= (np.abs(field.to_px(points_um - (tile.x_um, tile.y_um))) <= half_px).all(axis=1)
    return found


def grains(x_um: tuple[float, float], y_um: tuple[float, float]) -> NDArray[np.float64]:
    x, y = (np.arange(low, high + 1e-9, GRAIN_UM) for low, high in (x_um, y_um))
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


@pytest.mark.parametrize("order", ["raster", "serpentine", "spiral"])
def test_takes_each_place_of_the_grid_once(order: str) -> None:
    taken = layout(plan(order=order), FIELD)
    assert {(tile.row, tile.col) for tile in taken} == {(row, col) for row in range(3) for col in range(4)}
    assert [tile.index for tile in taken] == list(range(12))


def test_serpentine_turns_round_at_each_row() -> None:
    assert [tile.col for tile in layout(plan(order="serpentine"), FIELD)] == [0, 1, 2, 3, 3, 2, 1, 0, 0, 1, 2, 3]


def test_spiral_goes_to_neighbours_from_the_middle_outwards() -> None:
    first, second, *_, last = [(tile.row, tile.col) for tile in layout(plan(order="spiral"), FIELD)]
    assert first == (1, 1)
    assert abs(first[0] - second[0]) + abs(first[1] - second[1]) == 1
    assert last[0] in (0, 2) or last[1] in (0, 3)


@given(degrees=st.floats(-3.0, 3.0), scale=st.floats(0.9, 1.1))
def test_a_turned_camera_covers_the_region_too(degrees: float, scale: float) -> None:
    field = FIELD.seen_as(turned(degrees, scale))
    assert covered(layout(plan(), field), field, grains(RECTANGLE["x_um"], RECTANGLE["y_um"])).all()


def test_steps_go_along_the_axes_of_a_turned_camera() -> None:
    field = FIELD.seen_as(turned(2.0))
    first, second = layout(plan(), field)[:2]
    across, down = field.to_px((second.x_um - first.x_um, second.y_um - first.y_um))
    assert 0 < across <= 80
    assert down == pytest.approx(0, abs=1e-9)


def test_takes_the_fields_that_touch_a_polygon_and_no_others() -> None:
    tiles = layout(plan({"polygon_um": LETTER_L}), FIELD)
    grid = {(tile.row, tile.col): tile for tile in layout(plan({"x_um": (20, 60), "y_um": (20, 54)}), FIELD)}
    wanted = [
        place
        for place, tile in grid.items()
        if tile.x_um - 5 < 30 or tile.y_um + 5 > 44  # of the two bars, all that lies in the grid
    ]
    assert sorted((tile.row, tile.col) for tile in tiles) == sorted(wanted)
    assert [tile.index for tile in tiles] == list(range(len(tiles)))
    assert all(tile.x_um == grid[tile.row, tile.col].x_um for tile in tiles)
    assert cost(plan({"polygon_um": LETTER_L}), FIELD).tiles == len(tiles) < len(grid)


def test_a_polygon_inside_one_field_takes_that_field() -> None:
    assert len(layout(plan({"polygon_um": ((30.0, 30.0), (31.0, 30.0), (30.0, 32.0))}), FIELD)) == 1


def test_spiral_takes_the_tiles_of_a_polygon_too() -> None:
    region = {"polygon_um": LETTER_L}
    spiral, raster = (layout(plan(region, order=order), FIELD) for order in ("spiral", "raster"))
    assert sorted((tile.row, tile.col) for tile in spiral) == [(tile.row, tile.col) for tile in raster]
    assert [tile.index for tile in spiral] == list(range(len(raster)))


def test_a_row_with_a_gap_is_swept_in_two_runs() -> None:
    letter_u = {"polygon_um": ((20.0, 20), (30, 20), (30, 44), (60, 44), (60, 20), (70, 20), (70, 54), (20, 54))}
    tiles = layout(plan(letter_u, mode="line"), FIELD)
    columns = [[tile.col for tile in run] for run in runs([tile for tile in tiles if tile.row == 0])]
    assert columns == [[0, 1], [4, 5]]


@pytest.mark.parametrize(
    ("region", "words"),
    [
        ({"polygon_um": ((0.0, 0.0), (1.0, 0.0))}, ["region.polygon_um", "at least 3"]),
        ({"polygon_um": ((0.0, 0.0), (9.0, 9.0), (9.0, 0.0), (0.0, 9.0))}, ["region.polygon_um", "(0, 0)", "cross"]),
        ({"polygon_um": ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (9.0, 0.0))}, ["region.polygon_um", "cross or touch"]),
        ({"polygon_um": ((0.0, 0.0), (9.0, 0.0), (5.0, 0.0))}, ["region.polygon_um", "cross or touch"]),
        ({"polygon_um": ((0.0, 0.0), (float("inf"), 0.0), (5.0, 1.0))}, ["region.polygon_um.1.0", "finite"]),
        ({"polygon_um": ((1e308, 0.0), (-1e308, 0.0), (0.0, 1e308))}, ["region.polygon_um.0.0", "-1e+06..1e+06"]),
        ({"x_um": (-1e308, 1e308), "y_um": (0.0, 1.0)}, ["region.x_um.0 = -1e+308", "-1e+06..1e+06"]),
        ({"polygon_um": LETTER_L, "x_um": (0.0, 1.0)}, ["region", "not polygon_um and x_um"]),
        ({"y_um": (0.0, 1.0)}, ["region.x_um", "required"]),
    ],
)
def test_says_what_is_wrong_with_a_region(region: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ValidationError) as refusal:
        plan(region)
    assert all(word in reasons(refusal.value)[0] for word in words), reasons(refusal.value)


def test_a_polygon_comes_back_out_of_its_own_dump() -> None:
    wanted = plan({"polygon_um": LETTER_L})
    assert Plan.model_validate(wanted.model_dump(mode="json")) == wanted


UNUSUAL_UM = st.sampled_from([0.0, -0.0, 5e-324, -1e-310, 1e-200, 1e-160, 1e-20, 1e-9, 9.999999999, 10.0, 60.0, 100.0])
CORNERS = st.lists(st.tuples(UNUSUAL_UM, UNUSUAL_UM), min_size=3, max_size=4)


@given(region=st.one_of(CORNERS, st.tuples(st.tuples(UNUSUAL_UM, UNUSUAL_UM), st.tuples(UNUSUAL_UM, UNUSUAL_UM))))
def test_a_region_of_unusual_numbers_is_laid_out_or_refused_with_its_key(region: Any) -> None:
    keys = {"polygon_um": region} if len(region) > 2 else {"x_um": region[0], "y_um": region[1]}
    try:
        wanted = plan(keys)
    except ValidationError as refusal:
        unnamed = [reason for reason in reasons(refusal) if not reason.startswith("region.")]
        assert unnamed == []  # either is right
        return
    for field in (FIELD, FIELD.seen_as(turned(15.0))):
        if found := problems(wanted, {}, 10**12, field):
            assert [reason.startswith("region.") for reason in found] == [True]
        else:
            assert layout(wanted, field)


def test_a_region_along_the_rims_of_the_fields_is_refused_by_its_name() -> None:
    thin = 1e-10
    hook = ((0.0, 0.0), (50.0, 0.0), (50.0, thin), (thin, thin), (thin, 50.0), (0.0, 50.0))
    (reason,) = problems(plan({"polygon_um": hook}), {}, 10**12, FIELD)
    assert reason.startswith("region.polygon_um: no field of view")


def test_a_polygon_beyond_the_travel_is_refused_by_its_name() -> None:
    (reason,) = problems(plan({"polygon_um": LETTER_L}), {"x": (0, 50), "y": (0, 100)}, 10**12, FIELD)
    assert reason.startswith("region.polygon_um = 20..60 um reaches outside")


@pytest.mark.parametrize("length_um", [30.0, 31.7, 55.55])
def test_cuts_the_camera_area_until_the_fewest_tiles_overlap_exactly(length_um: float) -> None:
    wanted = plan({"x_um": (20.0, 20.0 + length_um), "y_um": (20.0, 44.0)}, fit="roi")
    roi, field = camera_area(wanted, FIELD)
    assert roi is not None
    assert (roi.width, roi.height) == (field.shape_px[1], field.shape_px[0])
    assert (2 * roi.x + roi.width, 2 * roi.y + roi.height) == (100, 100), "as much is cut on either side"
    assert cost(wanted, field).tiles == cost(plan(wanted.region.model_dump()), FIELD).tiles
    for overlap, side_px in zip(cost(wanted, field).overlap, reversed(field.shape_px), strict=True):
        two_px = 2 / side_px * 1.5  # what is cut is whole pixels on either side; over two steps they count so much
        assert 0.2 <= overlap < 0.2 + two_px


def test_leaves_the_camera_area_alone_where_one_field_is_enough() -> None:
    roi, field = camera_area(plan({"x_um": (20.0, 26.0), "y_um": (20.0, 25.0)}, fit="roi"), FIELD)
    assert (roi, field) == (None, FIELD)


def test_a_correction_leaves_what_was_begun_and_covers_the_rest() -> None:
    wanted = plan({"x_um": (20.0, 80.0), "y_um": (20.0, 80.0)})
    before = layout(wanted, FIELD)
    truth = turned(1.0, 0.95)
    after = layout(wanted, FIELD, [Correction(1, truth)])
    begun = [tile for tile in before if tile.row <= 1]
    assert after[: len(begun)] == begun
    assert [tile.index for tile in after] == list(range(len(after)))
    field = FIELD.seen_as(truth)
    rim_um = 0.5 + 60 * math.sin(math.radians(1.0))  # the rows begun were laid out for larger, upright fields
    inside = grains((20.0 + rim_um, 80.0 - rim_um), (20.0 + rim_um, 80.0))
    assert covered(after, field, inside).all()
    first, second = (tile for tile in after if (tile.row, tile.col) in ((3, 2), (3, 3)))
    across, down = field.to_px((second.x_um - first.x_um, second.y_um - first.y_um))
    assert 0.2 <= 1 - abs(across) / 100 < 0.3
    assert down == pytest.approx(0, abs=1e-9)


def test_serpentine_goes_on_turning_after_a_correction() -> None:
    wanted = plan({"x_um": (20.0, 80.0), "y_um": (20.0, 80.0)})
    after = layout(wanted, FIELD, [Correction(0, turned(0.0, 1.02))])
    ends = [[tile.x_um for tile in after if tile.row == row] for row in (0, 1, 2)]
    assert ends[0][0] < ends[0][-1]
    assert ends[1][0] > ends[1][-1]
    assert ends[2][0] < ends[2][-1]


def test_a_second_correction_builds_on_the_first() -> None:
    wanted = plan({"x_um": (20.0, 80.0), "y_um": (20.0, 80.0)})
    once = [Correction(1, turned(1.0, 0.95))]
    first, second = layout(wanted, FIELD, once), layout(wanted, FIELD, [*once, Correction(3, turned(1.1, 0.96))])
    kept = [tile for tile in first if tile.row <= 3]
    assert second[: len(kept)] == kept
    assert second[len(kept) :] != first[len(kept) :]


def test_finds_a_tile_that_the_scanner_cannot_reach() -> None:
    tiles = layout(plan(), FIELD)
    assert beyond_limits(tiles, {"x": (0, 100), "y": (0, 100)}) is None
    outside = beyond_limits(tiles, {"x": (0, 40)})
    assert outside is not None
    assert outside.x_um > 40
