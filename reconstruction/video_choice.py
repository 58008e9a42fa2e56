"""Which pictures of a moving stage become tiles: neighbours overlap as much as asked, measured and not assumed.

Each picture is registered to the last chosen one. The one nearest to the middle of the band is taken as soon as a
later one is farther from it, so that at most four pictures are held. A flawed one is left out; where the stage has left
the band meanwhile, the last good one before is taken, early rather than late.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from reconstruction.video_flaws import Flaw, Likeness, is_black, is_blurred, is_repeated
from reconstruction.video_match import Displacement, Match, match, refined, search
from reconstruction.video_pictures import Picture
from reconstruction.video_speed import Speed
from reconstruction.video_view import View, Viewer

REACH_PX = 24.0  # of the search around what the speed foretells, px of the picture
REACH_PART = 0.6  # of the step foretold, besides: a stage may stop
MOST_REACH_PART = 0.12  # of the shorter side; beyond, looking everywhere is cheaper
LEAST_OVERLAP = 0.15  # at which pictures still match well
NEARLY_SAME = 0.9  # overlap; the first picture of all is replaced by a sharper one as long as it is so
AGREEING = 3  # pictures that match each other, but not what was before: the view has jumped
AN_INSTANT_S = 0.01  # in which no view leaves a picture
MOST_LISTED = 1000  # rejected pictures by number


@dataclass(frozen=True)
class Band:
    """The least and greatest overlap of neighbours, as fractions of a picture's area."""

    low: float = 0.3
    high: float = 0.6

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2


@dataclass(frozen=True)
class Chosen:
    """A picture that becomes a tile.

    `x_px`, `y_px`: where it lies, of the first picture of its video, as far as was measured. `segment` counts the runs
    of pictures in which each was measured against the one before; `overlap` with that one is None for the first of
    a segment.
    """

    picture: Picture
    segment: int
    x_px: float
    y_px: float
    overlap: float | None
    ncc: float | None
    speed_px_s: tuple[float, float]  # x, y
    blurred: bool = False

    def without_pixels(self) -> "Chosen":
        """Give the same without what it shows, for who keeps that elsewhere."""
        return replace(self, picture=replace(self.picture, pixels=np.empty((0, 0), self.picture.pixels.dtype)))


@dataclass(frozen=True)
class Gap:
    """Where the way of the view could not be measured: from which picture on, and what the speed says of it."""

    number: int
    time_s: float
    seconds: float
    bridged_px: tuple[float, float]  # x, y


@dataclass(frozen=True)
class Standing:
    """How the view stands to the last chosen picture, and when its overlap would leave the band at this speed."""

    overlap: float
    speed_px_s: tuple[float, float]  # x, y
    leaves_in_s: float | None  # None: not at this speed
    has_candidate: bool


@dataclass(frozen=True)
class _Candidate:
    view: View
    at: Match  # against the reference
    overlap: float
    blurred: bool = False


@dataclass
class _Reference:
    """The last chosen picture, where it lies (px of the picture), and what has been seen of its surroundings since."""

    view: View
    place: tuple[float, float]  # y, x
    chosen: Chosen
    told: bool = False
    likeness: Likeness = field(default_factory=Likeness)
    last: _Candidate | None = None  # the latest good picture
    best: _Candidate | None = None  # the good one nearest to the middle of the band
    spare: _Candidate | None = None  # a blurred one, in case no good one comes


class Chooser:
    """Takes the pictures of one video in their order, and hands out those that become tiles."""

    def __init__(self, band: Band, viewer: Viewer) -> None:
        self.rejected: Counter[Flaw] = Counter()
        self.listed: list[tuple[int, Flaw]] = []
        self.gaps: list[Gap] = []
        self.seen = 0
        self._band = band
        self._viewer = viewer
        self._speed = Speed()
        self._reference: _Reference | None = None
        self._before: View | None = None
        self._stray: View | None = None
        self._agreeing = 0

    def add(self, picture: Picture) -> Iterator[Chosen]:
        """Look at the next picture; what is chosen thereby, mostly an earlier one."""
        self.seen += 1
        view = self._viewer.view(picture)
        before, self._before = self._before, view
        if view.sd == 0 or (self._reference is not None and is_black(view, self._reference.view)):
            self._reject(view, "black")
        elif self._reference is None:
            self._begin(view, (0.0, 0.0), 0)
        elif before is not None and is_repeated(view, before):
            self._reject(view, "repeated")
        else:
            yield from self._weigh(view)

    def end(self) -> Iterator[Chosen]:
        """Hand out what was kept back: the last picture that shows something new."""
        yield from self._told()
        reference = self._reference
        if reference is not None and reference.last is not None and reference.last.overlap < NEARLY_SAME:
            yield from self._choose(reference.last)

    @property
    def standing(self) -> Standing | None:
        """How the view stands now; None before there is anything to compare with."""
        if self._reference is None:
            return None
        y, x = self._displacement_px(self._reference)
        if self._before is not None:  # what could not be measured goes on as it went
            step = self._speed.step_px(self._before.picture.time_s)
            y, x = y + step[0], x + step[1]
        overlap, speed = self._overlap(y, x), self._speed.px_s
        soon = self._overlap(y + speed[0] * AN_INSTANT_S, x + speed[1] * AN_INSTANT_S)
        rate = (overlap - soon) / AN_INSTANT_S
        leaves_in_s = (overlap - self._band.low) / rate if rate > 0 else None
        return Standing(overlap, (speed[1], speed[0]), leaves_in_s, self._reference.best is not None)

    def _weigh(self, view: View, at: Match | None = None) -> Iterator[Chosen]:
        """Compare a picture with the reference; what that decides."""
        reference = self._known()
        found = at or self._found(reference, view)
        if found is None:
            yield from self._astray(view)
            return
        self._stray, self._agreeing = None, 0
        if not reference.told and self._begins_anew(reference, view, found):
            yield from self._weigh(view)
            return
        flaw = reference.likeness.flaw(found)
        blurred = flaw != "doubled" and is_blurred(view, reference.view, found, self._viewer.shrink)
        if flaw is not None and not blurred:
            self._reject(view, flaw)
            return
        self._speed.note(view.picture.time_s, self._place(reference, found))
        candidate = _Candidate(view, found, self._overlap(*self._px(found.at)), blurred)
        if blurred:
            self._reject(view, "blurred")
            yield from self._keep_spare(reference, candidate)
            return
        reference.likeness.note(found)
        yield from self._consider(reference, candidate)

    def _begins_anew(self, reference: _Reference, view: View, found: Match) -> bool:
        """Replace the very first picture by the second, if the third says that something is wrong with it."""
        last = reference.last
        if last is None or found.by_way:
            return False
        since = found.at[0] - last.at.at[0], found.at[1] - last.at.at[1]
        near = match(last.view, view, since, REACH_PX / self._viewer.shrink)
        if near is None:
            return False
        usual = Likeness()
        usual.note(near)
        flaw = usual.flaw(found)
        if flaw is None:
            return False
        self._reject(reference.view, flaw)
        self._begin(last.view, self._place(reference, last.at), reference.chosen.segment)
        return True

    def _consider(self, reference: _Reference, candidate: _Candidate) -> Iterator[Chosen]:
        overlap = candidate.overlap
        if not reference.told:
            if overlap > NEARLY_SAME and self._is_sharper(candidate, reference):
                self._reject(reference.view, "blurred")
                self._begin(candidate.view, self._place(reference, candidate.at), reference.chosen.segment)
                return
            if overlap <= NEARLY_SAME:
                yield from self._told()
        if overlap > self._band.high:
            reference.last = candidate
        elif overlap >= self._band.low and self._is_nearer(candidate, reference.best):
            reference.best = reference.last = candidate
        else:
            yield from self._choose(self._choice(reference, candidate))
            if self._known().view is not candidate.view:
                yield from self._weigh(candidate.view)

    def _is_sharper(self, candidate: _Candidate, reference: _Reference) -> bool:
        back = replace(candidate.at, at=(-candidate.at.at[0], -candidate.at.at[1]))
        return is_blurred(reference.view, candidate.view, back, self._viewer.shrink)

    def _choice(self, reference: _Reference, latest: _Candidate) -> _Candidate:
        """What to take now that the stage is past the middle of the band, or has left it."""
        if reference.best is not None:
            return reference.best
        last = reference.last
        if last is not None and last.overlap < NEARLY_SAME:
            return last
        if latest.overlap < LEAST_OVERLAP and reference.spare is not None:
            return reference.spare
        return latest

    def _keep_spare(self, reference: _Reference, candidate: _Candidate) -> Iterator[Chosen]:
        """Remember a blurred picture; take what there is before the view is lost."""
        if candidate.overlap >= self._band.low:
            if self._is_nearer(candidate, reference.spare):
                reference.spare = candidate
        elif candidate.overlap < LEAST_OVERLAP:
            yield from self._told()
            yield from self._choose(self._choice(reference, candidate))

    def _is_nearer(self, candidate: _Candidate, other: _Candidate | None) -> bool:
        middle = self._band.middle
        return other is None or abs(candidate.overlap - middle) <= abs(other.overlap - middle)

    def _choose(self, candidate: _Candidate) -> Iterator[Chosen]:
        reference = self._known()
        exact = replace(candidate.at, at=refined(reference.view, candidate.view, candidate.at))
        place = self._place(reference, exact)
        y, x = self._px(exact.at)
        speed = self._speed.px_s
        chosen = Chosen(
            candidate.view.picture,
            reference.chosen.segment,
            place[1],
            place[0],
            self._overlap(y, x),
            exact.ncc,
            (speed[1], speed[0]),
            candidate.blurred,
        )
        self._reference = _Reference(candidate.view, place, chosen, told=True, likeness=Likeness(reference.likeness))
        yield chosen

    def _begin(self, view: View, place: tuple[float, float], segment: int) -> None:
        """Take a picture that nothing is known to lie beside; it is told once it is clear that it is good."""
        speed = self._speed.px_s
        chosen = Chosen(view.picture, segment, place[1], place[0], None, None, (speed[1], speed[0]))
        self._reference = _Reference(view, place, chosen)
        self._speed.note(view.picture.time_s, place)

    def _told(self) -> Iterator[Chosen]:
        if self._reference is not None and not self._reference.told:
            self._reference.told = True
            yield self._reference.chosen

    def _found(self, reference: _Reference, view: View) -> Match | None:
        """Measure a picture against the reference, if need be by way of the latest good one."""
        step = self._speed.step_px(view.picture.time_s)
        expected = self._displacement_px(reference)
        expected = expected[0] + step[0], expected[1] + step[1]
        reach_px = REACH_PX + REACH_PART * max(map(abs, step))
        near = reach_px <= MOST_REACH_PART * min(self._viewer.shape) * self._viewer.shrink
        if near and (found := match(reference.view, view, self._views(expected), reach_px / self._viewer.shrink)):
            return found
        last = reference.last
        if near and last is not None:
            known = self._px(last.at.at)
            since = expected[0] - known[0], expected[1] - known[1]
            if found := match(last.view, view, self._views(since), reach_px / self._viewer.shrink):
                return _over(last.at, found)
        if found := search(reference.view, view):
            return found
        if last is not None and (found := search(last.view, view)):
            return _over(last.at, found)
        return None

    def _astray(self, view: View) -> Iterator[Chosen]:
        """A picture that matches nothing: flawed, featureless, or the view has jumped."""
        stray, self._stray = self._stray, view
        if stray is not view:
            self._agreeing = self._agreeing + 1 if stray is not None and self._agree(stray, view) else 1
        reference = self._known()
        step = self._speed.step_px(view.picture.time_s)
        y, x = self._displacement_px(reference)
        is_due = self._overlap(y + step[0], x + step[1]) <= self._band.middle
        if self._agreeing < AGREEING and not is_due:
            self._reject(view, "unmatched")
            return
        yield from self._told()
        kept = reference.best, reference.last, reference.spare
        held = [each for each in kept if each is not None and each.overlap < NEARLY_SAME]
        if held:
            yield from self._choose(held[0])
            yield from self._weigh(view)
        else:
            self._bridge(view)

    def _agree(self, first: View, second: View) -> bool:
        near = match(first, second, (0.0, 0.0), REACH_PX / self._viewer.shrink)
        return (near or search(first, second)) is not None

    def _bridge(self, view: View) -> None:
        """Go on from a picture whose place only the speed foretells."""
        reference = self._known()
        self._stray, self._agreeing = None, 0
        step = self._speed.step_px(view.picture.time_s)
        y, x = self._displacement_px(reference)
        gone = y + step[0], x + step[1]
        picture = view.picture
        self.gaps.append(
            Gap(picture.number, picture.time_s, picture.time_s - reference.view.picture.time_s, (gone[1], gone[0]))
        )
        place = reference.place[0] + gone[0], reference.place[1] + gone[1]
        self._begin(view, place, reference.chosen.segment + 1)

    def _displacement_px(self, reference: _Reference) -> tuple[float, float]:
        """Of the latest picture that was measured, against the reference."""
        place = self._speed.place or reference.place
        return place[0] - reference.place[0], place[1] - reference.place[1]

    def _place(self, reference: _Reference, found: Match) -> tuple[float, float]:
        y, x = self._px(found.at)
        return reference.place[0] + y, reference.place[1] + x

    def _overlap(self, y_px: float, x_px: float) -> float:
        rows, columns = (side * self._viewer.shrink for side in self._viewer.shape)
        return max(0.0, 1 - abs(y_px) / rows) * max(0.0, 1 - abs(x_px) / columns)

    def _px(self, at: Displacement) -> tuple[float, float]:
        return at[0] * self._viewer.shrink, at[1] * self._viewer.shrink

    def _views(self, px: tuple[float, float]) -> Displacement:
        return px[0] / self._viewer.shrink, px[1] / self._viewer.shrink

    def _known(self) -> _Reference:
        assert self._reference is not None
        return self._reference

    def _reject(self, view: View, flaw: Flaw) -> None:
        self.rejected[flaw] += 1
        if len(self.listed) < MOST_LISTED:
            self.listed.append((view.picture.number, flaw))


def _over(first: Match, then: Match) -> Match:
    """Go by way of a picture in between; how alike the ends are is not known."""
    at = first.at[0] + then.at[0], first.at[1] + then.at[1]
    return Match(at, then.ncc, then.second, then.blocks, by_way=True)
