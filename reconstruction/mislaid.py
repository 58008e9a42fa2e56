"""Tiles that lie under a wrong name: they match none of their neighbours, and match those of another place.

Tiles that were exchanged, or one that is called like a missing one, are found by what they show: only what matches
at another place that nobody else fills is moved there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from numpy.typing import NDArray

from reconstruction.neighbours import are_neighbours
from reconstruction.refinement import ncc
from reconstruction.registration import Edge, fisher, register
from reconstruction.sources import Tile
from reconstruction.strip_pair import signal_to_noise
from reconstruction.strips import high_passed

MOST_SUSPECTS = 40  # each is tried at the place of each: 15 s
MOST_PAIRED = 8  # of which two at a time are exchanged where no neighbour is beyond doubt
LEAST_SIGNAL = 0.1  # variance of the structure over that of the noise; below, a tile shows nothing to match
BETTER = 1.5  # times Fisher's z of the best match that a tile has where it lies; strangers match hardly at all
STRANGE = 0.7  # NCC; what matches its neighbours better was refused for other reasons: a lattice
SAME = 0.8  # NCC of two frames, laid upon each other, of one field
NEXT = 3  # tiles before and after, among which a stage that was stuck shows one field again
ENOUGH = 2  # neighbours that say yes, or no

Pixels = Callable[[Tile], NDArray[Any]]


@dataclass(frozen=True)
class Mislaid:
    """By index, the tiles whose places others belong to; and those that match nobody, each with one like it if any."""

    belongs: Mapping[int, Tile]
    lost: Sequence[tuple[Tile, Tile | None]]


def mislaid(tiles: Sequence[Tile], edges: Sequence[Edge], empty: Sequence[Tile], pixels: Pixels) -> Mislaid:
    """Find tiles that belong where another one is listed.

    Args:
        edges: all that were measured among the tiles.
        empty: listed tiles that cannot be used; their places are free.
    """
    suspects = _suspects(tiles, edges, pixels)
    here = {tile.index: max(edge.score for edge in edges if tile.index in (edge.a, edge.b)) for tile in suspects}
    sound = [tile for tile in tiles if tile.index not in here]
    found: dict[int, Tile] = {}
    if len(suspects) <= MOST_SUSPECTS:
        found = _placed(suspects, here, sound, empty, pixels)
    if not found and len(suspects) <= MOST_PAIRED:
        found = _exchanged(suspects, here, tiles, pixels)
    now = [moved(tile, found[tile.index]) if tile.index in found else tile for tile in tiles]
    lost = [tile for tile in suspects if tile.index not in found and here[tile.index] < STRANGE]
    if found:
        lost = [tile for tile in lost if not _matches(tile, here[tile.index], now, pixels)[0]]
    belongs = {index: place for index, place in found.items() if place.index != index}
    return Mislaid(belongs, [(tile, _same_field(tile, tiles, pixels)) for tile in lost])


def _suspects(tiles: Sequence[Tile], edges: Sequence[Edge], pixels: Pixels) -> list[Tile]:
    """List tiles that show something and match none of their neighbours."""
    touched = {index for edge in edges for index in (edge.a, edge.b)}
    matched = {index for edge in edges if edge.accepted for index in (edge.a, edge.b)}
    lonely = [tile for tile in tiles if tile.index in touched - matched]
    return [tile for tile in lonely if signal_to_noise(high_passed(pixels(tile))) > LEAST_SIGNAL]


def _placed(
    suspects: Sequence[Tile], here: Mapping[int, float], sound: Sequence[Tile], empty: Sequence[Tile], pixels: Pixels
) -> dict[int, Tile]:
    """Put suspects beside what lies right, as long as one fits; they may fit where they lie once others are put."""
    found: dict[int, Tile] = {}
    beside, before = list(sound), -1
    while len(found) > before:
        before = len(found)
        for tile in suspects:
            for place in [*suspects, *empty]:
                taken = any(place.index == other.index for other in found.values())
                if tile.index not in found and not taken and _fits(tile, here[tile.index], place, beside, pixels):
                    found[tile.index] = place
                    beside.append(moved(tile, place))
    return found


def _exchanged(
    suspects: Sequence[Tile], here: Mapping[int, float], tiles: Sequence[Tile], pixels: Pixels
) -> dict[int, Tile]:
    """Find the two of which an exchange makes most neighbours match."""
    best, most = None, 0
    for one, other in combinations(suspects, 2):
        exchanged = [moved(one, other), moved(other, one)]
        beside = [tile for tile in tiles if tile.index not in (one.index, other.index)]
        matches = [_matches(tile, here[tile.index], [*beside, *exchanged], pixels) for tile in exchanged]
        if min(yes for yes, _ in matches) > 0 and (yes := sum(yes for yes, _ in matches)) > max(most, ENOUGH - 1):
            best, most = {one.index: other, other.index: one}, yes
    return best or {}


def _fits(tile: Tile, here: float, place: Tile, beside: Sequence[Tile], pixels: Pixels) -> bool:
    """Tell whether a tile matches the neighbours of a place: two of them, or the only one there is.

    Far better than it does `here`, that is: a lattice matches anywhere, and says nothing.
    """
    yes, asked = _matches(moved(tile, place), here, beside, pixels, ENOUGH)
    return yes >= min(ENOUGH, asked) > 0


def _matches(
    tile: Tile, here: float, beside: Sequence[Tile], pixels: Pixels, enough: int | None = None
) -> tuple[int, int]:
    """Count the neighbours that a tile matches, and those asked: until `enough` say yes, or no."""
    frame = pixels(tile)
    yes = no = 0
    for other in beside:
        if other.index == tile.index or not are_neighbours(other, tile, (frame.shape[0], frame.shape[1])):
            continue
        nominal_px = (tile.x_px - other.x_px, tile.y_px - other.y_px)
        edge = register(other.index, tile.index, pixels(other), frame, nominal_px)
        if edge.accepted and fisher(edge.score) > BETTER * fisher(here):
            yes += 1
        else:
            no += 1
        if enough is not None and max(yes, no) >= enough:
            break
    return yes, yes + no


def _same_field(tile: Tile, tiles: Sequence[Tile], pixels: Pixels) -> Tile | None:
    """Find a tile beside, in space or time, that shows the same: the stage was stuck, or a frame came twice."""
    frame = pixels(tile)
    detail, shape = high_passed(frame), (frame.shape[0], frame.shape[1])
    for other in tiles:
        near = abs(other.index - tile.index) <= NEXT or are_neighbours(other, tile, shape)
        if other.index != tile.index and near and ncc(detail, high_passed(pixels(other))) > SAME:
            return other
    return None


def moved(tile: Tile, place: Tile) -> Tile:
    """Give a tile as it is listed at another one's place, to be measured anew."""
    return replace(tile, x_px=place.x_px, y_px=place.y_px, anchor=place.anchor, take=tile.take + 1)
