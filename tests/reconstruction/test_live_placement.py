"""Places while tiles arrive: close to those of the whole at any moment, for a small part of the work."""

import numpy as np
import pytest

from reconstruction import live_placement
from reconstruction.live_placement import LivePlacement
from reconstruction.placement import place
from tests.reconstruction.test_placement import grid_edges, places_px


@pytest.mark.parametrize("seed", range(3))
def test_places_of_a_growing_scan_stay_close_to_those_of_all_at_once(seed: int) -> None:
    tiles, edges, _ = grid_edges(20, 20, 3.0, seed)
    live = LivePlacement()
    for count in range(40, len(tiles) + 1, 13):
        seen, among = tiles[:count], [edge for edge in edges if edge.b < count]
        found, whole = live.place(seen, among), place(seen, among)
        away = places_px(found) - places_px(whole)
        assert np.abs(away - np.median(away, axis=0)).max() < 0.1  # edges are true to 0.01 px
        assert list(found.tiles) == list(whole.tiles)
        assert found.kept == whole.kept


def test_most_tiles_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    tiles, edges, _ = grid_edges(20, 20, 3.0, 0)
    placed: list[int] = []

    def counted(*given: object) -> object:
        placed.append(len(given[0]))  # type: ignore[arg-type]
        return place(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(live_placement, "place", counted)
    live = LivePlacement()
    for count in range(40, len(tiles) + 1, 5):
        live.place(tiles[:count], [edge for edge in edges if edge.b < count])
    assert [number for number in placed if number > live_placement.FEW] == [205, 250, 305, 370]


def test_what_was_measured_again_places_all_again() -> None:
    tiles, edges, _ = grid_edges(16, 16, 3.0, 0)
    other = grid_edges(16, 16, 3.0, 0)[1]
    live = LivePlacement()
    live.place(tiles[:-1], [edge for edge in edges if edge.b < len(tiles) - 1])
    assert live.place(tiles, other) == place(tiles, other)


def test_an_edge_that_is_no_more_is_not_asked_for() -> None:
    tiles, edges, _ = grid_edges(20, 20, 3.0, 0)
    live = LivePlacement()
    seen = [edge for edge in edges if edge.b < 300]
    live.place(tiles[:300], seen)
    fewer = [edge for edge in seen if (edge.a, edge.b) != (280, 281)]  # it lies elsewhere now
    live.place(tiles[:300], fewer)
    found = live.place(tiles[:301], [*fewer, *(edge for edge in edges if edge.b == 300)])
    assert len(found.tiles) == 301
