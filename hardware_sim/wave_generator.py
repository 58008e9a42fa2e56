"""The wave generators of the E-727, one per axis: `WSL`, `WGC`, `WTR`, `WOS`, `WGO`.

A run lasts servo time x table rate x points x cycles (E-727 manual); the axis then holds the last value.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardware_sim.clock import Clock
from hardware_sim.gcs_axes import AxisCommands
from hardware_sim.gcs_errors import Error, Refusal
from hardware_sim.gcs_language import Command, Commands, Items, groups, number, numbered, real, whole, without_arguments
from hardware_sim.gcs_parameters import SERVO_TIME_S
from hardware_sim.mechanics import Scanner
from hardware_sim.wave_tables import TABLES, WaveTables

START_AT_ONCE = 0x1
START_AT_END_POINT = 0x100
NO_TABLE = -1
MOST_STEPS = 400_000
"""Of one run, so that the twin can tell all of it in advance; one without a number of cycles ends then."""
HIGHEST_RATE = 100_000

Values = NDArray[np.float64]


@dataclass(frozen=True)
class WaveRun:
    """One run of a generator."""

    axis: int
    start_s: float
    step_s: float
    points: int
    """Of one cycle."""
    cycles: int


@dataclass
class _Generator:
    table: int = NO_TABLE
    cycles: int = 1
    rate: int = 1
    interpolation: int = 0
    offset_um: float = 0.0
    mode: int = 0


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
            "WOS?": self._query("Get Wave Generator Output Offset", lambda gen: number(gen.offset_um)),
            "WGO": Command("{<WaveGenID> <StartMode>} - Set Wave Generator Start/Stop Mode", self._go),
            "WGO?": Command("[{<WaveGenID>}] - Get Wave Generator Start/Stop Mode", self._modes),
            "TWG?": Command("- Get Number Of Wave Generators", without_arguments(lambda: [str(len(self._generators))])),
        }

    def running(self) -> list[int]:
        """List the generators that run."""
        return [place for place in range(len(self._generators)) if self._scanner.is_following(place)]

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
        if any(count < 0 for count in cycles.values()):
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
            self._generators[place].offset_um = offset_um

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
        targets_um = {place: self._targets_um(place, mode) for place, mode in starting.items()}
        for place, wave_um in targets_um.items():
            self._guard.refuse_outside(place, float(wave_um.min()), float(wave_um.max()))
        self._scanner.stop(place for place in self.running() if place in modes)
        if targets_um:
            self._start(starting, targets_um)

    def _targets_um(self, place: int, mode: int) -> Values:
        """Lay all cycles of a run end to end."""
        generator = self._generators[place]
        if generator.table == NO_TABLE:
            raise Refusal(Error.NO_WAVE_SELECTED)
        points_um = self._tables.points_um(generator.table)
        steps = len(points_um) * (generator.rate if generator.interpolation else 1)
        cycles = generator.cycles or max(MOST_STEPS // steps, 1)
        if cycles * steps > MOST_STEPS:
            raise Refusal(Error.NO_MEMORY_FOR_WAVE)
        step_um = points_um[-1] - points_um[0] if mode & START_AT_END_POINT else 0.0
        shifts_um = np.arange(cycles) * step_um + generator.offset_um
        wave_um: Values = (points_um + shifts_um[:, np.newaxis]).ravel()
        return wave_um

    def _start(self, modes: dict[int, int], targets_um: dict[int, Values]) -> None:
        start_s = (int(self._clock.now_s() / SERVO_TIME_S) + 1) * SERVO_TIME_S
        runs = []
        for place, wave_um in targets_um.items():
            generator = self._generators[place]
            points_um = self._tables.points_um(generator.table)
            cycles = len(wave_um) // len(points_um)
            generator.mode = modes[place]
            if generator.mode & START_AT_END_POINT:
                generator.offset_um += cycles * float(points_um[-1] - points_um[0])
            step_s = SERVO_TIME_S * generator.rate
            runs.append(WaveRun(place, start_s, step_s, len(points_um), cycles))
            if generator.interpolation:
                self._scanner.follow(place, start_s, SERVO_TIME_S, _interpolated(wave_um, generator.rate))
            else:
                self._scanner.follow(place, start_s, step_s, wave_um)
        self._started(runs)


def _interpolated(wave_um: Values, rate: int) -> Values:
    """Go straight from point to point, one step every servo cycle."""
    return np.interp(np.arange(rate * len(wave_um)) / rate, np.arange(len(wave_um)), wave_um)
