"""Whether the sides of a polygon meet, as Shapely has it."""

import random

import pytest

from acquisition.polygon import meeting_sides

shapely = pytest.importorskip("shapely")  # comes with useq


def test_a_polygon_is_simple_where_shapely_finds_it_valid() -> None:
    source, simple = random.Random(1), 0
    for _ in range(3000):
        corners = [(float(source.randint(0, 9)), float(source.randint(0, 9))) for _ in range(source.randint(3, 8))]
        if any(one == other for one, other in zip(corners, [*corners[1:], corners[0]], strict=True)):
            continue  # of which Shapely makes one corner
        met = meeting_sides(corners)
        assert (met is None) == shapely.Polygon(corners).is_valid, corners
        simple += met is None
    assert 300 < simple < 2700


def test_the_sides_that_meet_are_named() -> None:
    bow_tie = [(0.0, 0.0), (9.0, 9.0), (9.0, 0.0), (0.0, 9.0)]
    assert meeting_sides(bow_tie) == (0, 2)
    assert meeting_sides([(0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (3.0, 0.0), (0.0, 9.0)]) == (0, 2)
    spike = [(0.0, 0.0), (0.0, 9.0), (9.0, 9.0), (0.0, 5.0)]
    assert meeting_sides(spike) == (0, 2)
    assert meeting_sides([(5.0, 5.0), (0.0, 0.0), (9.0, 0.0), (4.0, 0.0)]) == (1, 2)
