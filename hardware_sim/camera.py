"""The camera: exposures of the world, one after the other, freely or at trigger edges."""

import copy
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from hardware_sim.canvas import Image
from hardware_sim.chance import Stream, generator
from hardware_sim.clock import Clock
from hardware_sim.frame_protocol import Setup
from hardware_sim.landing import whole_nm
from hardware_sim.sensor import Frame, Region, Sensor
from hardware_sim.settings import CameraSettings
from hardware_sim.shutter import Timing, Way, line_numbers, seen
from hardware_sim.trigger_lines import TriggerLines

Vector = NDArray[np.float64]

EXPOSURES_KEPT = 100_000
MOST_BEHIND = 4
"""Frames that may wait to be worked out, as in a camera's own memory; a twin that is slower leaves gaps."""
LOOK_AGAIN_S = 0.01
"""Of world time: how often a waiting camera asks whether it is still wanted."""


@dataclass(frozen=True)
class Exposure:
    """One picture: when its first line was exposed, and where the stage really was on average."""

    number: int
    start_s: float
    end_s: float
    x_um: float
    y_um: float
    z_um: float


@dataclass(frozen=True)
class Outlook:
    """What a picture depends on besides the place of the stage: where the focus drive is, and the gap at the probe."""

    drive_um: float
    gap_um: float


@dataclass(frozen=True, eq=False)
class Scene:
    """All that a frame shows but its noise."""

    region: Region
    binning: int
    timing: Timing
    way: Way
    outlook: Outlook
    target_um: tuple[float, ...]
    mean_um: Vector


@dataclass(frozen=True, eq=False)
class Proof:
    """A frame that was worked out while it was exposed, and the image noise before and after it."""

    frame: Frame
    noise_before: np.random.Generator
    noise_after: np.random.Generator


@dataclass(frozen=True)
class Shot:
    """An exposure, of which the numbers may not have been worked out yet."""

    exposure: Exposure
    scene: Scene
    proof: Proof | None
    """If all went as foreseen."""
    missed_triggers: int
    """Since the sequence began: edges that came while the camera could not start."""

    @property
    def shape_px(self) -> tuple[int, int]:
        """Rows and columns of the frame."""
        region, binning = self.scene.region, self.scene.binning
        return region.rows // binning, region.columns // binning


class Stage(Protocol):
    """What moves below the camera, in um (x, y, z)."""

    def target_um(self) -> list[float]:
        """Where it was sent."""
        ...

    def changes(self) -> int:
        """How often something came in between so far; until it rises, what is known of the future holds."""
        ...

    def true_um(self, time_s: float) -> Vector:
        """Where it really is, (3,)."""
        ...

    def true_um_at(self, times_s: Vector) -> Vector:
        """Where it really is at each of the times, (n, 3)."""
        ...


class Camera:
    """One camera of one world; safe to use from any thread, one exposure or sequence at a time."""

    def __init__(
        self,
        settings: CameraSettings,
        stage: Stage,
        triggers: TriggerLines,
        clock: Clock,
        seed: int,
        keyed: bool,
        camera_to_stage_um: Vector,
        outlook: Callable[[float], Outlook],
        view: Callable[[Vector, Outlook], Image],
    ) -> None:
        """Look at the specimen by `view`, from where the stage is at (x, y, z); `outlook` tells the rest for a time."""
        self.settings = settings
        self.sensor = Sensor(settings, seed)
        self._stage = stage
        self._triggers = triggers
        self._clock = clock
        self._seed = seed
        self._keyed = keyed
        self._camera_to_stage_um = camera_to_stage_um
        self._outlook = outlook
        self._view = view
        self._stream = generator(seed, Stream.IMAGE)
        self._shutter = threading.Lock()
        self._log_lock = threading.Lock()
        self._exposures: deque[Exposure] = deque(maxlen=EXPOSURES_KEPT)
        self._count = 0
        self._timed: tuple[Setup | None, Timing] = None, Timing(0.0, 0.0, np.zeros(1, np.int64))  # the latest

    def timing(self, setup: Setup) -> Timing:
        """Tell when each line of a frame is exposed.

        Raises:
            ValueError: the region does not lie on the sensor, or cannot be binned.
        """
        for_setup, timing = self._timed
        if for_setup != setup:
            line_us = self.settings.line_time_us if setup.pixel_rate == "fast scan" else self.settings.slow_line_time_us
            lines = line_numbers(self.region(setup), self.sensor.shape_px[0])
            timing = Timing(setup.exposure_s, line_us / 1e6, lines)
            self._timed = setup, timing
        return timing

    def region(self, setup: Setup) -> Region:
        """Tell which pixels are read.

        Raises:
            ValueError: they do not lie on the sensor, or cannot be binned.
        """
        rows, columns = self.sensor.shape_px
        region = Region(*(setup.region or (0, 0, columns, rows)))
        inside = 0 <= region.left < region.left + region.columns <= columns
        if not (inside and 0 <= region.top < region.top + region.rows <= rows):
            raise ValueError(f"region: {setup.region} does not lie on the sensor of {columns} x {rows}")
        if region.columns < setup.binning or region.rows < setup.binning:
            raise ValueError(f"region: {setup.region} is too small for a binning of {setup.binning}")
        if self.settings.symmetric_region and 2 * region.top + region.rows != rows:
            raise ValueError(f"region: {setup.region} does not lie symmetrically about the middle line")
        return region

    def sequence(self, setup: Setup, frames: int | None, given_up: threading.Event) -> Generator[Shot]:
        """Expose so many frames, or until given up; one whose exposure is cut short does not count.

        Edges of the trigger are heeded from this call on.

        Raises:
            ValueError: see `region`.
        """
        region, timing = self.region(setup), self.timing(setup)
        starts = self._ticks(timing)
        if setup.trigger == "external":
            starts = self._edges(timing, self._clock.now_s(), given_up)
        return self._shots(region, setup.binning, timing, starts, frames, given_up)

    def develop(self, shot: Shot) -> Frame:
        """Work out the numbers of an exposure, rows and columns of binned pixels."""
        proof = shot.proof
        if proof is not None and (self._keyed or proof.noise_before is self._stream):
            self._stream = proof.noise_after
            return proof.frame
        return self._developed(shot.scene, self._noise(shot.scene))

    def black(self, shot: Shot) -> Frame:
        """Work out what an exposure would be had no light come."""
        scene = shot.scene
        return _binned(self.sensor.read_dark(scene.region, self._noise(scene)), scene.binning)

    def preview(self, exposure_s: float, random: np.random.Generator) -> Frame:
        """Show what the camera sees now, without taking time and without counting as an exposure."""
        rows, columns = self.sensor.shape_px
        now_s = self._clock.now_s()
        view = self._view(self._stage.true_um(now_s), self._outlook(now_s))
        return self.sensor.read(view, Region(0, 0, columns, rows), exposure_s, random)

    def exposures_after(self, number: int) -> list[Exposure]:
        """List the pictures with a higher number, oldest first; only the latest 100000 are kept."""
        with self._log_lock:
            latest_first = takewhile(lambda exposure: exposure.number > number, reversed(self._exposures))
            return list(latest_first)[::-1]

    def _shots(
        self,
        region: Region,
        binning: int,
        timing: Timing,
        starts: Iterator[tuple[float, int]],
        frames: int | None,
        given_up: threading.Event,
    ) -> Generator[Shot]:
        """Work each frame out while it is exposed: who moves knows where it will be, unless something happens."""

        def scene(start_s: float, target_um: tuple[float, ...]) -> Scene:
            way = Way(start_s, timing.lasts_s, self._stage.true_um_at)
            outlook = self._outlook(start_s + timing.lasts_s)
            return Scene(region, binning, timing, way, outlook, target_um, way.mean_um())

        with self._shutter:
            for start_s, missed in starts:
                changes = self._stage.changes()
                scene_now = scene(start_s, tuple(self._stage.target_um()))
                proof: Proof | None = self._proof(scene_now)
                self._wait_until_s(start_s + timing.lasts_s, given_up)
                if given_up.is_set():
                    return
                if changes != self._stage.changes() or scene_now.outlook != self._outlook(start_s + timing.lasts_s):
                    scene_now, proof = scene(start_s, scene_now.target_um), None
                yield Shot(self._record(start_s, timing, scene_now), scene_now, proof, missed)
                frames = None if frames is None else frames - 1
                if frames == 0:
                    return

    def _ticks(self, timing: Timing) -> Iterator[tuple[float, int]]:
        """Yield start times as fast as frames can follow each other."""
        start_s = self._clock.now_s()
        while True:
            yield start_s, 0
            start_s += timing.period_s
            now_s = self._clock.now_s()
            if now_s > start_s + timing.lasts_s + MOST_BEHIND * timing.period_s:
                start_s = now_s

    def _edges(self, timing: Timing, ready_s: float, given_up: threading.Event) -> Iterator[tuple[float, int]]:
        """Yield start times at rising edges, with the number of edges that came too early so far."""
        line, missed = self.settings.trigger_line, 0
        while (start_s := self._triggers.wait(line, ready_s, given_up)) is not None:
            yield start_s, missed
            ready_s = start_s + timing.period_s
            missed += sum(start_s < edge_s <= ready_s for edge_s in self._triggers.edges_s(line, ready_s))

    def _record(self, start_s: float, timing: Timing, scene: Scene) -> Exposure:
        x_um, y_um, z_um = (float(value) for value in scene.mean_um)
        with self._log_lock:
            self._count += 1
            exposure = Exposure(self._count, start_s, start_s + timing.exposure_s, x_um, y_um, z_um)
            self._exposures.append(exposure)
            return exposure

    def _proof(self, scene: Scene) -> Proof:
        before = self._noise(scene)
        after = copy.deepcopy(before)
        return Proof(self._developed(scene, after), before, after)

    def _developed(self, scene: Scene, noise: np.random.Generator) -> Frame:
        image = seen(
            scene.way,
            scene.timing,
            self._camera_to_stage_um,
            lambda stage_um: self._view(stage_um, scene.outlook)[scene.region.slices],
        )
        return _binned(self.sensor.read(image, scene.region, scene.timing.exposure_s, noise), scene.binning)

    def _noise(self, scene: Scene) -> np.random.Generator:
        """Choose where image noise comes from; a keyed world knows only x, y and exposure, not the probe's height."""
        if not self._keyed:
            return self._stream
        key = [*whole_nm(scene.target_um[:2]), round(scene.timing.exposure_s * 1e6)]
        return generator(self._seed, Stream.IMAGE, key)

    def _wait_until_s(self, time_s: float, given_up: threading.Event) -> None:
        while (now_s := self._clock.now_s()) < time_s and not given_up.is_set():
            self._clock.sleep_until_s(min(now_s + LOOK_AGAIN_S, time_s))


def _binned(frame: Frame, binning: int) -> Frame:
    """Add up squares of pixels; what is left over at the right and below is dropped, sums end at 16 bit."""
    if binning == 1:
        return frame
    rows, columns = (side // binning for side in frame.shape)
    whole = frame[: rows * binning, : columns * binning]
    mean = cv2.resize(whole.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip(np.rint(mean * binning**2), 0, 65535), dtype=np.uint16)
