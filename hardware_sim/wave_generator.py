"""The wave generators of the E-727, one per axis: `WSL`, `WGC`, `WTR`, `WOS`, `WGO`.

A run lasts servo time x table rate x points x cycles (E-727 manual); the axis then holds the last value. A run that
begins each cycle at the end of the one before leaves its end value in the offset; if it is stopped, it leaves the
offset as it was (a choice).
"""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hardware_sim.clock import Clock
from hardware_sim.gcs_axes import AxisCommands
from hardware_sim.gcs_errors import Error, Refusal
from hardware_sim.gcs_language import Command, Commands, Items, groups, number, numbered, real, whole, without_arguments
from hardware_sim.gcs_parameters import SERVO_TIME_S
from hardware_sim.mechanics import Scanner
from hardware_sim.wave_course import Course
from hardware_sim.wave_tables import TABLES, WaveTables

START_AT_ONCE = 0x1
START_AT_END_POINT = 0x100
NO_TABLE = -1
MOST_CYCLES = 2**31 - 1
"""A count of 32 bits (a choice)."""
HIGHEST_RATE = 100_000


@dataclass(frozen=True)
class WaveRun:
    """One run of a generator."""

    axis: int
    start_s: float
    step_s: float
    points: int
    """Of one cycle."""
    cycles: float
    """Infinity for a run without an end."""

    @property
    def cycle_s(self) -> float:
        """How long one cycle lasts."""
        return self.step_s * self.points


@dataclass
class _Generator:
    table: int = NO_TABLE
    cycles: int = 1
    rate: int = 1
    interpolation: int = 0
    offset_um: float = 0.0
    mode: int = 0
    ends_s: float = math.inf
    climb_um: float = 0.0
    """What the run adds to the offset at its end."""


class WaveGenerators:
    """All generators of one controller; generator 1 drives the first axis."""

    def __init__(
        self, scanner: Scanner, clock: Clock, axes: Items, guard: AxisCommands, started: Callable[[list[WaveRun]], None]
    ) -> None:
        self._scanner = scanner
        self._clock = clock
        self._guard = guard
        self._started = started
        self._items = numbered(len(axes.names), Error.WAVE_INDEX)
        self._tables_or_none = Items(["0", *numbered(TABLES, Error.WAVE_INDEX).names], Error.WAVE_INDEX)
        self._generators = [_Generator() for _ in axes.names]
        self._tables = WaveTables(self._is_in_use)
        self._lock = threading.Lock()  # a motion may be changed by another controller
        scanner.on_motion(self._moved)

    def commands(self) -> Commands:
        """List the commands for wave generators and their tables."""
        return self._tables.commands() | {
            "WSL": Command("{<WaveGenID> <TableID>} - Set Connection Of Wave Table To Wave Generator", self._select),
            "WSL?": self._query("Get Connection Of Wave Table To Wave Generator", lambda gen: str(gen.table + 1)),
            "WGC": Command("{<WaveGenID> <Cycles>} - Set Number Of Wave Generator Cycles", self._set_cycles),
            "WGC?": self._query("Get Number Of Wave Generator Cycles", lambda gen: str(gen.cycles)),
            "WTR": Command("{<WaveGenID> <Rate> <Interpolation>} - Set Wave Generator Table Rate", self._set_rate),
            "WTR?": self._query("Get Wave Generator Table Rate", lambda gen: f"{gen.rate} {gen.interpolation}"),
            "WOS": Command("{<WaveGenID> <Offset>} - Set Wave Generator Output Offset", self._set_offset),
            "WOS?": Command("[{<WaveGenID>}] - Get Wave Generator Output Offset", self._offsets),
            "WGO": Command("{<WaveGenID> <StartMode>} - Set Wave Generator Start/Stop Mode", self._go),
            "WGO?": Command("[{<WaveGenID>}] - Get Wave Generator Start/Stop Mode", self._modes),
            "TWG?": Command("- Get Number Of Wave Generators", without_arguments(lambda: [str(len(self._generators))])),
        }

    def running(self) -> list[int]:
        """List the generators that run."""
        return [place for place in range(len(self._generators)) if self._scanner.is_following(place)]

    def _moved(self, place: int) -> None:
        """Forget the climb of a run that was stopped."""
        if not self._scanner.is_following(place):
            self._end_climb(place, self._scanner.changed_s(place))
            with self._lock:
                self._generators[place].climb_um = 0.0

    def _end_climb(self, place: int, now_s: float) -> None:
        """Add the climb of a run that has come to its end to the offset."""
        generator = self._generators[place]
        with self._lock:
            if now_s >= generator.ends_s:
                generator.offset_um += generator.climb_um
                generator.climb_um = 0.0

    def _offset_um(self, place: int) -> float:
        self._end_climb(place, self._clock.now_s())
        return self._generators[place].offset_um

    def _query(self, meaning: str, value: Callable[[_Generator], str]) -> Command:
        def answer(words: list[str]) -> list[str]:
            return self._items.table(words, lambda place: value(self._generators[place]))

        return Command(f"[{{<WaveGenID>}}] - {meaning}", answer)

    def _is_in_use(self, table: int) -> bool:
        return any(self._generators[place].table == table for place in self.running())

    def _select(self, words: list[str]) -> None:
        chosen = {place: self._tables_or_none.index(word) - 1 for place, word in self._items.pairs(words).items()}
        self._refuse_running(chosen)
        for place, table in chosen.items():
            self._generators[place].table = table

    def _refuse_running(self, places: dict[int, int]) -> None:
        if set(places) & set(self.running()):
            raise Refusal(Error.GENERATOR_RUNNING)

    def _set_cycles(self, words: list[str]) -> None:
        cycles = {place: whole(word) for place, word in self._items.pairs(words).items()}
        if not all(0 <= count <= MOST_CYCLES for count in cycles.values()):
            raise Refusal(Error.OUT_OF_RANGE)
        self._refuse_running(cycles)
        for place, count in cycles.items():
            self._generators[place].cycles = count

    def _set_rate(self, words: list[str]) -> None:
        """Set rates; generator 0 means all of them, and an interpolation may be told or not."""
        rows = groups(words, 3 if len(words) % 3 == 0 else 2)
        settings: dict[int, tuple[int, int]] = {}
        for name, *words_of_rate in rows:
            places = range(len(self._generators)) if name == "0" else [self._items.index(name)]
            rate, interpolation = [*map(whole, words_of_rate), 0][:2]
            settings |= dict.fromkeys(places, (rate, interpolation))
        if not all(1 <= rate <= HIGHEST_RATE and kind in (0, 1) for rate, kind in settings.values()):
            raise Refusal(Error.OUT_OF_RANGE)
        self._refuse_running(dict.fromkeys(settings, 0))
        for place, (rate, interpolation) in settings.items():
            self._generators[place].rate, self._generators[place].interpolation = rate, interpolation

    def _set_offset(self, words: list[str]) -> None:
        offsets_um = {place: real(word) for place, word in self._items.pairs(words).items()}
        if not np.isfinite(list(offsets_um.values())).all():
            raise Refusal(Error.OUT_OF_RANGE)
        self._refuse_running(dict.fromkeys(offsets_um, 0))
        for place, offset_um in offsets_um.items():
            self._end_climb(place, self._clock.now_s())
            self._generators[place].offset_um = offset_um

    def _offsets(self, words: list[str]) -> list[str]:
        return self._items.table(words, lambda place: number(self._offset_um(place)))

    def _modes(self, words: list[str]) -> list[str]:
        running = self.running()
        return self._items.table(words, lambda place: str(self._generators[place].mode if place in running else 0))

    def _go(self, words: list[str]) -> None:
        """Start and stop generators; those that start do so in the same servo cycle."""
        modes = {place: whole(word) for place, word in self._items.pairs(words).items()}
        for mode in modes.values():
            if mode not in (0, START_AT_ONCE, START_AT_ONCE | START_AT_END_POINT):
                raise Refusal(Error.GENERATOR_BIT)
        starting = {place: mode for place, mode in modes.items() if mode}
        self._guard.refuse_busy(starting)
        self._guard.refuse_open_loop(starting)
        courses = {place: self._course(place, mode) for place, mode in starting.items()}
        for place, course in courses.items():
            self._guard.refuse_outside(place, *course.range_um)
        self._scanner.stop(place for place in self.running() if place in modes)
        if courses:
            self._start(starting, courses)

    def _course(self, place: int, mode: int) -> Course:
        generator = self._generators[place]
        if generator.table == NO_TABLE:
            raise Refusal(Error.NO_WAVE_SELECTED)
        points_um = self._tables.points_um(generator.table)
        return Course(
            points_um + self._offset_um(place),
            SERVO_TIME_S * generator.rate,
            is_straight=bool(generator.interpolation),
            cycles=generator.cycles or math.inf,
            shift_um=float(points_um[-1] - points_um[0]) if mode & START_AT_END_POINT else 0.0,
        )

    def _start(self, modes: dict[int, int], courses: dict[int, Course]) -> None:
        next_s = (int(self._clock.now_s() / SERVO_TIME_S) + 1) * SERVO_TIME_S
        start_s = self._scanner.run(courses, next_s)
        runs = []
        for place, course in courses.items():
            generator = self._generators[place]
            generator.mode = modes[place]
            generator.ends_s = start_s + course.duration_s
            generator.climb_um = course.cycles * course.shift_um if course.shift_um else 0.0
            runs.append(WaveRun(place, start_s, course.step_s, len(course.points_um), course.cycles))
        self._started(runs)
