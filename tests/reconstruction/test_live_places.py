"""Where tiles are drawn while more arrive."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from reconstruction.brightness import Brightness
from reconstruction.live_places import LivePlaces, Solution, extended
from reconstruction.placement import Placement, place
from reconstruction.registration import Edge
from reconstruction.sources import Tile

TILES = [Tile(i, f"{i}.tif", 100.0 * i, 0.0) for i in range(5)]
EDGES = [Edge(i, i + 1, 103.0, 1.0, 0.9, accepted=i != 3) for i in range(4)]


def placed(count: int) -> Placement:
    return place(TILES[:count], EDGES[: count - 1])


def test_a_tile_lies_beside_its_neighbours_until_all_are_placed_together() -> None:
    known = placed(2)
    arrived = [(TILES[2], [EDGES[1]]), (TILES[3], [EDGES[2]]), (TILES[4], [EDGES[3]])]
    found = extended(known, arrived).tiles
    assert found[2].x_px == pytest.approx(known.tiles[1].x_px + 103)
    assert found[3].y_px == pytest.approx(known.tiles[1].y_px + 2)
    assert found[4].x_px - TILES[4].x_px == pytest.approx(found[3].x_px - TILES[3].x_px)  # no edge: as the last one
    assert known.tiles.keys() == {0, 1}


def test_what_comes_while_all_are_placed_is_not_lost() -> None:
    asked: list[int] = []

    def solution(count: int) -> Callable[[], Callable[[], Solution]]:
        def capture() -> Callable[[], Solution]:
            asked.append(count)
            return lambda: (placed(count), Brightness())

        return capture

    with ThreadPoolExecutor(1) as pool:
        live = LivePlaces(pool)
        live.arrived({0: (TILES[0], [])}, again=False)
        assert live.known(solution(1))[0].tiles.keys() == {0}
        for count in range(2, 6):
            live.arrived({count - 1: (TILES[count - 1], [EDGES[count - 2]])}, again=False)
            assert live.known(solution(count))[0].tiles.keys() == set(range(count))
        live.end()
        live.arrived({4: (TILES[4], [EDGES[3]])}, again=True)
        assert live.known(solution(5))[0].tiles.keys() == set(range(5))
    assert asked[0] == 1
    assert asked[-1] == 5
