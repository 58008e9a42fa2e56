"""Polygons on the specimen: whether the sides of one meet, and which fields of a grid it touches."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Point = tuple[float, float]

ROUNDING = 1e-9
"""Of a field: what a side overlaps less is touched at its rim alone."""


def meeting_sides(corners: Sequence[Point]) -> tuple[int, int] | None:
    """Find two sides that cross, touch or fold back on each other; side i begins at corner i.

    None in a simple polygon. Each side is held at once against all later ones that come near it.
    """
    starts = np.asarray(corners, dtype=np.float64)
    ends = np.roll(starts, -1, axis=0)
    low, high = np.minimum(starts, ends), np.maximum(starts, ends)
    last = len(starts) - 1
    for first in range(last):
        near = (low[first + 1 :] <= high[first]) & (high[first + 1 :] >= low[first])
        later = first + 1 + np.flatnonzero(near[:, 0] & near[:, 1])
        met = _meet(starts[first], ends[first], starts[later], ends[later])
        for place in (0, -1) if not first else (0,):  # its neighbours, which meet it anyhow
            before, after = (last, first) if place else (first, first + 1)
            met[place] = _folds_back(starts[before], ends[before], ends[after])
        if met.any():
            second = int(later[met.argmax()])
            return (second, first) if (first, second) == (0, last) else (first, second)
    return None


def _turn(a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]) -> NDArray[np.float64]:
    """Twice the signed area of triangles, whose corners are (..., 2)."""
    return np.asarray(
        (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
    )


def _folds_back(a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]) -> bool:
    """Tell whether the way from `a` over `b` to `c` returns into itself, or a part of it has no length."""
    return bool(_turn(a, b, c) == 0 and (a - b) @ (c - b) >= 0)


def _meet(
    a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64], d: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Of the sides from `c` to `d` (n, 2), which meet the one from `a` to `b`."""
    turns = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    met = (turns[0] * turns[1] < 0) & (turns[2] * turns[3] < 0)
    for turn, end in zip(turns, ((a, b, c), (a, b, d), (c, d, a), (c, d, b)), strict=True):
        met |= (turn == 0) & _between(*end)
    return np.asarray(met)


def _between(a: NDArray[np.float64], b: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell whether points of the lines through `a` and `b` lie between them."""
    return np.asarray(((np.minimum(a, b) <= point) & (point <= np.maximum(a, b))).all(axis=-1))


def touched(corners: ArrayLike, x: ArrayLike, y: ArrayLike, size: tuple[float, float]) -> NDArray[np.bool_]:
    """Tell which fields of a grid share an area with a simple polygon; (rows, columns).

    Args:
        corners: (n, 2) as x, y.
        x, y: centres of the columns and of the rows.
        size: width and height of a field.
    """
    across, down = np.asarray(x, dtype=np.float64)[None, :], np.asarray(y, dtype=np.float64)[:, None]
    starts = np.asarray(corners, dtype=np.float64)
    half = np.asarray(size, dtype=np.float64) / 2 * (1 - ROUNDING)
    crossed = np.zeros((down.shape[0], across.shape[1]), dtype=np.bool_)
    inside = crossed.copy()
    with np.errstate(over="ignore", invalid="ignore"):  # a side of almost no length is passed at infinity
        for start, end in zip(starts, np.roll(starts, -1, axis=0), strict=True):
            crossed |= _passes(start, end, across, down, half)
            inside ^= _left_of(start, end, across, down)
    return crossed | inside  # a field that no side passes through lies inside or outside as a whole


def _passes(
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    across: NDArray[np.float64],
    down: NDArray[np.float64],
    half: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Clip a side at each field (Liang and Barsky 1984): whether a part of it lies inside."""
    enters_x, leaves_x = _within(start[0], end[0] - start[0], across, half[0])
    enters_y, leaves_y = _within(start[1], end[1] - start[1], down, half[1])
    enters = np.maximum(np.maximum(enters_x, enters_y), 0.0)
    return np.asarray(enters < np.minimum(np.minimum(leaves_x, leaves_y), 1.0))


def _within(
    start: float, step: float, centres: NDArray[np.float64], half: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Between which parts of a side it is less than `half` from each centre, along one axis."""
    if step == 0:
        always = np.abs(centres - start) < half
        return np.where(always, -np.inf, np.inf), np.where(always, np.inf, -np.inf)
    ends = (centres - half - start) / step, (centres + half - start) / step
    return np.minimum(*ends), np.maximum(*ends)


def _left_of(
    start: NDArray[np.float64], end: NDArray[np.float64], across: NDArray[np.float64], down: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether a ray from each centre to the right crosses a side."""
    spanned = (start[1] > down) != (end[1] > down)
    if start[1] == end[1]:
        return np.broadcast_to(spanned, (down.shape[0], across.shape[1]))
    meets = start[0] + (down - start[1]) * ((end[0] - start[0]) / (end[1] - start[1]))
    return np.asarray(spanned & (across < meets))
