"""Places from edges: accurate, robust against a lie, honest about what nobody measured."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from reconstruction.neighbours import Neighbourhood
from reconstruction.placement import Placement, place
from reconstruction.registration import Edge, register
from reconstruction.sources import Tile
from tests.reconstruction.scenes import Scan, errors_px, scan


def edges_of(scene: Scan) -> list[Edge]:
    near = Neighbourhood(scene.tile_shape)
    found = []
    for tile in scene.tiles:
        for other in near.add(tile):
            nominal = (tile.x_px - other.x_px, tile.y_px - other.y_px)
            frames = scene.frames[other.index], scene.frames[tile.index]
            found.append(register(other.index, tile.index, *frames, nominal))
    return found


def places_px(placement: Placement) -> NDArray[np.float64]:
    return np.array([(tile.x_px, tile.y_px) for tile in placement.tiles.values()])


def true_edges(scene: Scan, noise_px: float = 0.05, seed: int = 0) -> list[Edge]:
    rng = np.random.default_rng(seed)
    near = Neighbourhood(scene.tile_shape)
    found = []
    for tile in scene.tiles:
        for other in near.add(tile):
            step = scene.truth_px[tile.index] - scene.truth_px[other.index] + rng.normal(0, noise_px, 2)
            found.append(Edge(other.index, tile.index, float(step[0]), float(step[1]), 0.9, True))
    return found


@pytest.mark.parametrize("overlap", [0.1, 0.2, 0.4])
@pytest.mark.parametrize("kind", ["natural", "lamellae"])
def test_places_a_noisy_scan_below_a_tenth_of_a_pixel(kind: str, overlap: float) -> None:
    scene = scan(kind, overlap)
    error = errors_px(places_px(place(scene.tiles, edges_of(scene))), scene.truth_px)
    assert np.sqrt(np.square(error).mean()) <= 0.1  # measured: 0.01 to 0.03
    assert error.max() <= 0.3


def test_puts_a_featureless_corner_where_the_stage_model_says() -> None:
    scene = scan("grains", blank_corner=True)
    placement = place(scene.tiles, edges_of(scene))
    corner = placement.tiles[19]
    assert (corner.placed_by, corner.score) == ("stage", 0.0)
    assert all(tile.placed_by == "registration" for index, tile in placement.tiles.items() if index != 19)
    error = errors_px(places_px(placement), scene.truth_px)
    assert error[:19].max() <= 1.0
    assert error[19] <= 10.0  # its own error of the stage, 3 px rms, with that of its neighbours


@pytest.mark.parametrize("which", range(0, 31, 3))
def test_one_wrong_edge_moves_nobody(which: int) -> None:
    scene = scan(size=128, rows=4, columns=5)
    edges = true_edges(scene)
    before = places_px(place(scene.tiles, edges))
    lie = replace(edges[which], dx_px=edges[which].dx_px + 35, dy_px=edges[which].dy_px - 20)
    placement = place(scene.tiles, [*edges[:which], lie, *edges[which + 1 :]])
    assert (lie.a, lie.b) not in placement.kept
    assert np.abs(places_px(placement) - before).max() < 0.2  # what one true edge less may change


def test_evidence_overrules_a_stage_that_lost_sixty_pixels() -> None:
    scene = scan(size=128, rows=4, columns=5)
    scene.truth_px[10:] += (60.0, 0.0)
    placement = place(scene.tiles, true_edges(scene, noise_px=0.02))
    assert errors_px(places_px(placement), scene.truth_px).max() < 0.5


def test_places_do_not_depend_on_the_order_of_anything() -> None:
    scene = scan(size=128)
    edges = true_edges(scene)
    assert place(scene.tiles, edges) == place(scene.tiles[::-1], edges[::-1])


def test_the_mean_of_the_anchors_stays_where_the_stage_put_it() -> None:
    scene = scan(size=128)
    placement = place(scene.tiles, true_edges(scene))
    moved = [(p.x_px - p.tile.x_px, p.y_px - p.tile.y_px) for p in placement.tiles.values() if p.tile.anchor]
    assert np.abs(np.mean(moved, axis=0)).max() < 1.0  # outliers among the anchors are left out of the mean


def test_a_single_tile_stays() -> None:
    scene = scan(size=128, rows=1, columns=1)
    assert places_px(place(scene.tiles, [])).tolist() == [[0.0, 0.0]]


def grid_edges(rows: int, columns: int, rms_px: float, seed: int, gross_px: float = 0.0) -> tuple[list[Tile], Any, Any]:
    """Tiles of 512 px that a stage misplaced, the true places, and edges that measured them to 0.01 px.

    `gross_px`: how far the tile in the middle lies from where the stage says, on top.
    """
    rng = np.random.default_rng(seed)
    nominal = np.array([(384.0 * c, 384.0 * r) for r in range(rows) for c in range(columns)])
    truth = nominal + rng.normal(0, rms_px / np.sqrt(2), nominal.shape)
    truth[len(truth) // 2] += gross_px / np.sqrt(2)
    tiles = [Tile(index, str(index), float(x), float(y)) for index, (x, y) in enumerate(nominal)]
    near, edges = Neighbourhood((512, 512)), []
    for tile in tiles:
        for other in near.add(tile):
            dx, dy = truth[tile.index] - truth[other.index] + rng.normal(0, 0.01, 2)
            edges.append(Edge(other.index, tile.index, float(dx), float(dy), 0.98, True, 4e-5, 4e-5, 0.0))
    return tiles, edges, truth


@pytest.mark.parametrize("rms_px", [1.0, 3.0, 10.0])
@pytest.mark.parametrize(("rows", "columns"), [(1, 6), (2, 2), (3, 2), (3, 3), (4, 5)])
def test_good_edges_are_believed_however_few_tiles_there_are(rows: int, columns: int, rms_px: float) -> None:
    for seed in range(25):
        tiles, edges, truth = grid_edges(rows, columns, rms_px, seed)
        assert errors_px(places_px(place(tiles, edges)), truth).max() <= 0.1


@pytest.mark.parametrize("gross_px", [5.0, 20.0, 60.0, 90.0])
@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (3, 3), (4, 5)])
def test_a_tile_that_the_stage_put_far_off_goes_where_its_edges_say(rows: int, columns: int, gross_px: float) -> None:
    for seed in range(10):
        tiles, edges, truth = grid_edges(rows, columns, 1.0, seed, gross_px)
        placement = place(tiles, edges)
        assert errors_px(places_px(placement), truth).max() <= 0.1
        assert placement.tiles[len(tiles) // 2].placed_by == "registration"


def test_a_far_off_match_without_a_second_witness_is_not_believed() -> None:
    tiles, edges, truth = grid_edges(1, 4, 1.0, seed=1)
    edges[1] = replace(edges[1], dx_px=edges[1].dx_px + 60)
    placement = place(tiles, edges)
    assert (1, 2) not in placement.kept
    assert errors_px(places_px(placement), truth).max() <= 5.0  # where the stage says


def test_a_tile_known_along_one_direction_only_counts_as_placed_by_the_stage() -> None:
    tiles, edges, _ = grid_edges(1, 3, 1.0, seed=2)
    lines = [replace(edge, var_y_px2=1e6) for edge in edges]
    assert {tile.placed_by for tile in place(tiles, lines).tiles.values()} == {"stage"}


def test_the_same_frame_twice_is_no_trouble() -> None:
    tiles, edges, truth = grid_edges(2, 2, 1.0, seed=3)
    twin = Edge(3, 4, 0.0, 0.0, 1.0, True, 0.0, 0.0, 0.0)
    placement = place([*tiles, replace(tiles[3], index=4)], [*edges, twin])
    assert errors_px(places_px(placement), np.vstack([truth, truth[3]])).max() <= 0.1


@pytest.mark.parametrize(("rows", "columns", "lie_px"), [(2, 2, 30.0), (2, 3, 30.0), (3, 3, 25.0), (4, 5, 15.0)])
def test_one_lie_in_a_small_scan_moves_nobody(rows: int, columns: int, lie_px: float) -> None:
    for seed in range(10):
        tiles, edges, truth = grid_edges(rows, columns, 3.0, seed)
        liar = seed % len(edges)
        edges[liar] = replace(edges[liar], dx_px=edges[liar].dx_px + lie_px)
        placement = place(tiles, edges)
        assert errors_px(places_px(placement), truth).max() <= 0.2
        assert (edges[liar].a, edges[liar].b) not in placement.kept


def test_several_lies_at_once_move_nobody() -> None:
    for seed in range(10):
        tiles, edges, truth = grid_edges(6, 8, 3.0, seed)
        rng = np.random.default_rng(100 + seed)
        for liar in rng.choice(len(edges), 8, replace=False):
            dx_px, dy_px = rng.choice([-1, 1], 2) * rng.uniform(12, 30, 2)
            lie = replace(edges[liar], dx_px=edges[liar].dx_px + dx_px, dy_px=edges[liar].dy_px + dy_px)
            edges[liar] = lie
        assert errors_px(places_px(place(tiles, edges)), truth).max() <= 0.3


def test_tiles_that_nothing_ties_to_the_rest_count_as_placed_by_the_stage() -> None:
    tiles, edges, _ = grid_edges(2, 4, 1.0, seed=4)
    cut = [replace(e, accepted=False) if {e.a, e.b} in ({2, 3}, {6, 7}) else e for e in edges]
    placed = place(tiles, cut).tiles
    assert [index for index, tile in placed.items() if tile.placed_by == "stage"] == [3, 7]
