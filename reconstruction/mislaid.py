"""Tiles that lie under a wrong name: they match none of their neighbours, and match those of another place.

Two tiles that were exchanged, or one that is called like a missing one, are found by what they show: only what matches
at another place that nobody else fills is moved there.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from reconstruction.neighbours import are_neighbours
from reconstruction.registration import Edge, fisher, register
from reconstruction.sources import Tile
from reconstruction.strip_pair import signal_to_noise
from reconstruction.strips import high_passed

MOST_SUSPECTS = 8  # where more tiles match nothing, something else is wrong
LEAST_SIGNAL = 0.1  # variance of the structure over that of the noise; below, a tile shows nothing to match
BETTER = 1.5  # times Fisher's z of the best match that a tile has where it lies; strangers match hardly at all
ENOUGH = 2  # neighbours that say yes, or no

Pixels = Callable[[Tile], NDArray[Any]]


def mislaid(tiles: Sequence[Tile], edges: Sequence[Edge], empty: Sequence[Tile], pixels: Pixels) -> dict[int, Tile]:
    """Find tiles that belong where another one is listed; by index, that other one.

    Args:
        edges: all that were measured among the tiles.
        empty: listed tiles that cannot be used; their places are free.
    """
    suspects = _suspects(tiles, edges, pixels)
    if not 0 < len(suspects) <= MOST_SUSPECTS:
        return {}
    names = {tile.index for tile in suspects}
    here = {tile.index: max(edge.score for edge in edges if tile.index in (edge.a, edge.b)) for tile in suspects}
    sound = [tile for tile in tiles if tile.index not in names]
    found: dict[int, Tile] = {}
    for tile in suspects:
        for place in [*suspects, *empty]:
            taken = any(place.index == other.index for other in found.values())
            if place.index != tile.index and not taken and _fits(tile, here[tile.index], place, sound, pixels):
                found[tile.index] = place
                break
    return found


def _suspects(tiles: Sequence[Tile], edges: Sequence[Edge], pixels: Pixels) -> list[Tile]:
    """List tiles that show something and match none of their neighbours."""
    touched = {index for edge in edges for index in (edge.a, edge.b)}
    matched = {index for edge in edges if edge.accepted for index in (edge.a, edge.b)}
    lonely = [tile for tile in tiles if tile.index in touched - matched]
    if len(lonely) > len(tiles) // 2:
        return []
    return [tile for tile in lonely if signal_to_noise(high_passed(pixels(tile))) > LEAST_SIGNAL]


def _fits(tile: Tile, here: float, place: Tile, sound: Sequence[Tile], pixels: Pixels) -> bool:
    """Tell whether a tile matches the neighbours of a place: two of them, or the only one there is.

    Far better than it does `here`, that is: a lattice matches anywhere, and says nothing.
    """
    frame = pixels(tile)
    around = [other for other in sound if are_neighbours(other, place, (frame.shape[0], frame.shape[1]))]
    yes = no = 0
    for other in around:
        nominal_px = (place.x_px - other.x_px, place.y_px - other.y_px)
        edge = register(other.index, tile.index, pixels(other), frame, nominal_px)
        if edge.accepted and fisher(edge.score) > BETTER * fisher(here):
            yes += 1
        else:
            no += 1
        if max(yes, no) >= ENOUGH:
            break
    return yes >= min(ENOUGH, len(around)) > 0


def moved(tile: Tile, place: Tile) -> Tile:
    """Give a tile as it is listed at another one's place, to be measured anew."""
    return replace(tile, x_px=place.x_px, y_px=place.y_px, anchor=place.anchor, take=tile.take + 1)
