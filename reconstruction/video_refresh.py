"""Whole scans out of a video that shows a slow one: each picture has only some new lines, above a moving refresh line.

Such a picture is a mixture of two scans, which a moving stage saw in two places. From one picture to the next only the
lines that were written meanwhile change; where that goes on, line after line and around, whole scans are put together
from the pictures before and after each end of a scan.
"""

from collections import deque
from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.video_pictures import Picture

WATCHED = 8  # pictures before it is decided what kind of video this is
LEAST_AGREEING = 0.6  # of the steps among them
UNCHANGED_PART = 0.35  # of the change of the most changed lines; a grabber adds noise of its own to all
MOST_NEW_PART = 0.6  # of the lines of a picture; beyond, more scans are mixed than can be told apart
TOLERANCE_PART = 0.03  # of the lines, between the end of one change and the start of the next
Span = tuple[int, int]  # first changed line, and how many changed; goes on at the top beyond the last


class WholeScans:
    """Passes on the pictures of an ordinary video; of one that shows a slow scan, the whole scans."""

    def __init__(self) -> None:
        self.mixed = 0  # pictures left out because they were mixtures
        self.repeated = 0  # left out before it was clear what kind of video this is: they tell nothing
        self._watched: list[Picture] = []
        self._slow: bool | None = None
        self._before: Picture | None = None
        self._spans: deque[Span | None] = deque(maxlen=WATCHED - 1)

    def add(self, picture: Picture) -> Iterator[Picture]:
        """Look at the next picture; what can be passed on."""
        if self._slow is None:
            if self._watched and np.array_equal(picture.pixels, self._watched[-1].pixels):
                self.repeated += 1
                return
            self._watched.append(picture)
            if len(self._watched) >= WATCHED:
                yield from self._decide()
        elif self._slow:
            yield from self._scan(picture)
        else:
            yield picture
            self._slow = self._turns_slow(picture)

    def end(self) -> Iterator[Picture]:
        """Pass on what is left."""
        if self._slow is None:
            yield from self._decide()

    def _decide(self) -> Iterator[Picture]:
        spans = [changed(before, after) for before, after in pairwise(self._watched)]
        self._slow = is_refresh_line(spans, len(self._watched[0].pixels))
        watched, self._watched = self._watched, []
        for picture in watched:
            yield from self.add(picture)

    def _turns_slow(self, picture: Picture) -> bool:
        """Tell whether an ordinary video has become one of a slow scan: the operator has changed the speed."""
        before, self._before = self._before, picture
        if before is None:
            return False
        self._spans.append(changed(before, picture))
        return is_refresh_line(list(self._spans), len(picture.pixels))

    def _scan(self, picture: Picture) -> Iterator[Picture]:
        """Pass on a scan when the refresh line has gone over its last line."""
        before, self._before = self._before, picture
        if before is None:
            return
        span = changed(before, picture)
        lines = len(picture.pixels)
        if span is None or span[0] + span[1] < lines:
            self.mixed += 1
            return
        whole = picture.pixels.copy()
        written = span[0] + span[1] - lines  # lines of the next scan that are there already
        whole[:written] = before.pixels[:written]
        yield Picture(whole, picture.number, picture.time_s)


def changed(before: Picture, after: Picture) -> Span | None:
    """Find the lines in which two pictures differ, if they are one stretch; None if they are not, or all are new."""
    difference = cv2.absdiff(before.pixels, after.pixels)
    by_line = cv2.reduce(difference, 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F).ravel()
    moved = by_line > UNCHANGED_PART * float(np.percentile(by_line, 99))
    new = _closed(moved)
    if not moved.any() or new.mean() > MOST_NEW_PART:
        return None
    starts = np.flatnonzero(new & ~np.roll(new, 1))
    return (int(starts[0]), int(new.sum())) if len(starts) == 1 else None


def is_refresh_line(spans: list[Span | None], lines: int) -> bool:
    """Tell whether each change begins where the one before ended."""
    if len(spans) < WATCHED - 1:
        return False
    tolerance = max(2, round(TOLERANCE_PART * lines))
    follows = 0
    for one, other in pairwise(spans):
        if one is not None and other is not None:
            off = (other[0] - one[0] - one[1]) % lines
            follows += min(off, lines - off) <= tolerance
    return follows >= LEAST_AGREEING * max(len(spans) - 1, 1)


def _closed(moved: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close gaps of a few lines that happen to look alike, around the end too."""
    size = max(3, len(moved) // 50) | 1
    padded = np.concatenate([moved[-size:], moved, moved[:size]]).astype(np.uint8)
    kernel = np.ones((size, 1), np.uint8)
    return np.asarray(cv2.morphologyEx(padded[:, None], cv2.MORPH_CLOSE, kernel)[size:-size, 0] > 0)
