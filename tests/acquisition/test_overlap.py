"""Tiles: the region is covered exactly, with at least the overlap asked for, each place once."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisition.overlap import centres_um, tiles
from acquisition.plan import Plan

lengths_um = st.floats(0.1, 500.0)
overlaps = st.floats(0.0, 0.9)


@given(low_um=st.floats(-100, 100), length_um=lengths_um, field_um=st.floats(1.0, 40.0), overlap=overlaps)
def test_covers_from_end_to_end_with_at_least_the_overlap(
    low_um: float, length_um: float, field_um: float, overlap: float
) -> None:
    high_um = low_um + length_um
    centres = centres_um(low_um, high_um, field_um, overlap)
    if length_um <= field_um:
        assert centres == [pytest.approx((low_um + high_um) / 2)]
        return
    assert centres[0] - field_um / 2 == pytest.approx(low_um)
    assert centres[-1] + field_um / 2 == pytest.approx(high_um)
    steps = [after - before for before, after in itertools.pairwise(centres)]
    assert max(steps, default=0) <= field_um * (1 - overlap) * (1 + 1e-6)


@given(steps=st.integers(1, 50), field_um=st.floats(1.0, 40.0), overlap=st.floats(0.0, 0.8))
def test_uses_no_tile_too_many(steps: int, field_um: float, overlap: float) -> None:
    length_um = field_um * (1 + steps * (1 - overlap))  # exactly steps + 1 tiles
    assert len(centres_um(0.0, length_um, field_um, overlap)) == steps + 1


def plan(order: str) -> Plan:
    region = {"x_um": (20.0, 50.0), "y_um": (20.0, 44.0)}
    return Plan.model_validate({"region": region, "tiles": {"overlap": 0.2, "order": order}})


@pytest.mark.parametrize("order", ["raster", "serpentine", "spiral"])
def test_takes_each_place_of_the_grid_once(order: str) -> None:
    taken = tiles(plan(order), (10.0, 10.0))
    assert {(tile.row, tile.col) for tile in taken} == {(row, col) for row in range(3) for col in range(4)}
    assert [tile.index for tile in taken] == list(range(12))


def test_serpentine_turns_round_at_each_row() -> None:
    assert [tile.col for tile in tiles(plan("serpentine"), (10.0, 10.0))] == [0, 1, 2, 3, 3, 2, 1, 0, 0, 1, 2, 3]


def test_spiral_goes_to_neighbours_from_the_middle_outwards() -> None:
    first, second, *_, last = [(tile.row, tile.col) for tile in tiles(plan("spiral"), (10.0, 10.0))]
    assert first == (1, 1)
    assert abs(first[0] - second[0]) + abs(first[1] - second[1]) == 1
    assert last[0] in (0, 2) or last[1] in (0, 3)
