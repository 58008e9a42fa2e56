"""Spacing: a span is filled exactly, with at least the overlap asked for and no field too many."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisition.overlap import centres_um

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
