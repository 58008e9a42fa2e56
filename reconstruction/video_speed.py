"""How fast the stage goes, from the places of the last pictures, and where it should be by now."""

from collections import deque

Place = tuple[float, float]  # y, x; px

REMEMBERED = 6  # places; a stage needs about as many pictures to change its speed


class Speed:
    """Speed in px a second (y, x), of whatever was measured last."""

    def __init__(self) -> None:
        self._places: deque[tuple[float, Place]] = deque(maxlen=REMEMBERED)

    def note(self, time_s: float, place: Place) -> None:
        """Take in where the view was at a time."""
        if self._places and time_s <= self._places[-1][0]:
            return
        self._places.append((time_s, place))

    @property
    def px_s(self) -> Place:
        """The median over the last steps, axis by axis: one picture that was placed wrong does not count."""
        steps = [
            tuple((b - a) / (later - earlier) for a, b in zip(before, after, strict=True))
            for (earlier, before), (later, after) in zip(self._places, list(self._places)[1:], strict=False)
        ]
        if not steps:
            return 0.0, 0.0
        y, x = (sorted(axis)[len(steps) // 2] for axis in zip(*steps, strict=True))
        return y, x

    @property
    def place(self) -> Place | None:
        """The last one."""
        return self._places[-1][1] if self._places else None

    def step_px(self, time_s: float) -> Place:
        """How far it should have gone since the last place."""
        if not self._places:
            return 0.0, 0.0
        passed_s = max(time_s - self._places[-1][0], 0.0)
        y, x = self.px_s
        return y * passed_s, x * passed_s
