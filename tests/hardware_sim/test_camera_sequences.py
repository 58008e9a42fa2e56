"""Sequences of frames: how they are timed, triggered and stopped, and what goes wrong with them."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

from hardware_sim.clock import ManualClock, RealClock
from hardware_sim.faults import Armed
from hardware_sim.frame_protocol import Setup
from hardware_sim.frame_server import FrameServer
from hardware_sim.mm_camera import TwinCamera
from hardware_sim.settings import CameraSettings, WorldSettings
from hardware_sim.specimen import Specimen
from hardware_sim.wire import Listener
from hardware_sim.world import World

ROWS, COLUMNS = 48, 64
STOPS_WITHIN_S = 0.05
Frame = NDArray[np.uint16]


def world_with(clock: ManualClock | RealClock, randomness: Any = "stream", **camera: Any) -> World:
    settings = WorldSettings(randomness=randomness, camera=CameraSettings(frame_shape_px=(ROWS, COLUMNS), **camera))
    grey = np.random.default_rng(1).random((200, 300), dtype=np.float32)
    return World(settings, Specimen("grain", 0.02, grey, np.zeros((50, 75), np.float32)), clock, seed=0)


class Bench:
    """A world, and the device that photographs it over a socket."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.listener = Listener("frames", FrameServer(world, 1.0).serve)
        self.camera = TwinCamera()
        self.camera.set_property_value("Address", f"127.0.0.1:{self.listener.port}")
        self.camera.initialize()
        self.frames: list[Frame] = []

    def sequence(self, frames: int | None) -> Any:
        return self.camera.start_sequence(frames, self.new_buffer)

    def new_buffer(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        self.frames.append(np.zeros(shape, dtype))
        return self.frames[-1]

    def arm(self, name: str, after: int = 0) -> None:
        self.world.faults.arm(Armed(name=name, device="camera", after=after))

    def close(self) -> None:
        self.camera.shutdown()
        self.listener.close()


Open = Callable[[World], Bench]


@pytest.fixture
def open_bench() -> Iterator[Open]:
    opened: list[Bench] = []

    def open_it(world: World) -> Bench:
        opened.append(Bench(world))
        return opened[-1]

    yield open_it
    for bench in opened:
        bench.close()


@pytest.fixture
def bench(open_bench: Open) -> Bench:
    return open_bench(world_with(ManualClock()))


def numbers(metadata: list[dict[str, Any]]) -> list[int]:
    return [frame["exposure_number"] for frame in metadata]


def starts_s(world: World, setup: Setup, frames: int) -> list[float]:
    return [shot.exposure.start_s for shot in world.camera.sequence(setup, frames, threading.Event())]


def test_frames_follow_each_other_as_fast_as_they_are_exposed_or_read() -> None:
    world = world_with(ManualClock())
    long_s, short_s = (starts_s(world, Setup(exposure_s=exposure_s), 4) for exposure_s in (0.02, 0.0005))
    assert np.diff(long_s) == pytest.approx([0.02] * 3)
    assert np.diff(short_s) == pytest.approx([0.0005] * 3)  # 24 lines take 0.22 ms
    slow_s = starts_s(world, Setup(exposure_s=0.0005, pixel_rate="slow scan"), 4)
    assert np.diff(slow_s) == pytest.approx([24 * 27.5e-6] * 3)


def test_each_frame_has_its_number_its_time_and_its_timestamp(bench: Bench) -> None:
    bench.camera.set_exposure(5.0)
    metadata = list(bench.sequence(3))
    assert numbers(metadata) == [1, 2, 3]
    logged = bench.world.exposures_after(0)
    assert [frame["start_s"] for frame in metadata] == [exposure.start_s for exposure in logged]
    assert [frame["timestamp_us"] for frame in metadata] == [round(exposure.end_s * 1e6) for exposure in logged]
    assert bench.camera.get_exposure_number() == 3


def test_edges_take_frames_and_those_that_come_too_early_are_counted() -> None:
    world = world_with(ManualClock())
    world.triggers.schedule(1, [0.1, 0.11, 0.2, 0.3, 0.3001, 0.305, 0.4])
    setup = Setup(exposure_s=0.02, trigger="external")
    shots = list(world.camera.sequence(setup, 4, threading.Event()))
    assert [shot.exposure.start_s for shot in shots] == [0.1, 0.2, 0.3, 0.4]
    assert [shot.missed_triggers for shot in shots] == [0, 1, 1, 3]


def test_another_line_does_not_trigger() -> None:
    world = world_with(ManualClock(), trigger_line=2)
    world.triggers.schedule(1, [0.1])
    world.triggers.schedule(2, [0.25])
    (shot,) = world.camera.sequence(Setup(exposure_s=0.02, trigger="external"), 1, threading.Event())
    assert shot.exposure.start_s == 0.25


def test_an_edge_far_ahead_does_not_keep_from_stopping() -> None:
    world, given_up = world_with(RealClock()), threading.Event()
    world.triggers.schedule(1, [1000.0])
    shots = world.camera.sequence(Setup(exposure_s=0.02, trigger="external"), 1, given_up)
    waiting = threading.Thread(target=lambda: list(shots))
    waiting.start()
    given_up.set()
    waiting.join(5.0)
    assert not waiting.is_alive()


def test_the_log_tells_where_a_moving_stage_was() -> None:
    clock = ManualClock()
    world = world_with(clock)
    world.scanner.follow(0, 0.0, 0.001, np.linspace(10.0, 20.0, 1000))
    world.triggers.schedule(1, [0.5, 0.6])
    setup = Setup(exposure_s=0.02, trigger="external")
    shots = list(world.camera.sequence(setup, 2, threading.Event()))
    first, second = (shot.exposure for shot in shots)
    # 10 um in 1 s; landing errors and the stage's tremble are 0.01 um
    assert second.x_um - first.x_um == pytest.approx(1.0, abs=0.02)
    middle_um = world.scanner.true_um((first.start_s + first.end_s) / 2)[0]
    assert first.x_um == pytest.approx(middle_um, abs=0.01)
    frame = world.camera.develop(shots[0])
    assert frame.shape == (ROWS, COLUMNS)


def test_no_edge_is_overlooked_once_a_buffer_was_asked_for(bench: Bench) -> None:
    bench.camera.set_property_value("Triggermode", "External")

    def schedule_then_give(shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        if not bench.frames:
            bench.world.triggers.schedule(1, [0.001, 0.1])
        return bench.new_buffer(shape, dtype)

    metadata = list(bench.camera.start_sequence(2, schedule_then_give))
    assert [frame["start_s"] for frame in metadata] == [0.001, 0.1]


def test_a_sequence_that_waits_for_a_trigger_is_stopped_from_another_thread(open_bench: Open) -> None:
    bench = open_bench(world_with(RealClock()))
    bench.camera.set_property_value("Triggermode", "External")
    armed, ended_s = threading.Event(), []

    def take() -> None:
        def give(shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
            armed.set()
            return bench.new_buffer(shape, dtype)

        assert list(bench.camera.start_sequence(None, give)) == []
        ended_s.append(time.monotonic())

    thread = threading.Thread(target=take)
    thread.start()
    assert armed.wait(5.0)
    began_s = time.monotonic()
    bench.camera.stop_sequence()
    thread.join(5.0)
    # the lines are looked at every 20 ms; the rest is for a busy machine
    assert ended_s[0] - began_s < 2 * STOPS_WITHIN_S
    bench.camera.set_property_value("Triggermode", "Internal")
    assert numbers(list(bench.sequence(1))) == [1]


def test_closing_a_long_sequence_leaves_the_connection_usable(bench: Bench) -> None:
    sequence = bench.sequence(None)
    taken = [next(sequence), next(sequence)]
    sequence.close()
    before = bench.world.exposures_after(0)[-1].number
    assert numbers(taken) == [1, 2]
    assert numbers(list(bench.sequence(2))) == [before + 1, before + 2]


def test_a_long_exposure_is_cut_short_by_closing(open_bench: Open) -> None:
    bench = open_bench(world_with(RealClock()))
    sequence = bench.sequence(None)
    next(sequence)
    bench.camera.set_exposure(2000.0)
    sequence.close()
    sequence = bench.sequence(None)
    threading.Timer(0.05, bench.camera.stop_sequence).start()
    began_s = time.monotonic()
    assert list(sequence) == []
    assert time.monotonic() - began_s < 1.0  # of 2


def test_another_connection_stops_a_sequence(bench: Bench) -> None:
    sequence = bench.sequence(None)
    next(sequence)
    with socket.create_connection(("127.0.0.1", bench.listener.port), timeout=5) as other:
        other.sendall(b'{"ask": "stop"}\n')
        with pytest.raises(RuntimeError, match="somebody else"):
            list(sequence)
        assert json.loads(other.recv(4096).partition(b"\n")[0])["stopped"]
    assert len(list(bench.sequence(1))) == 1


def test_the_log_can_be_read_while_a_frame_is_awaited() -> None:
    world = world_with(RealClock())
    given_up = threading.Event()
    shots = world.camera.sequence(Setup(exposure_s=0.5, trigger="external"), 1, given_up)
    waiting = threading.Thread(target=lambda: list(shots))
    waiting.start()
    assert world.exposures_after(0) == []
    given_up.set()
    waiting.join(5.0)
    assert not waiting.is_alive()


def test_a_region_is_read_faster_and_shows_its_part(bench: Bench) -> None:
    bench.camera.set_roi(10, 4, 32, 40)
    assert bench.camera.shape() == (40, 32)
    list(bench.sequence(1))
    assert bench.frames[-1].shape == (40, 32)
    assert bench.world.camera.timing(Setup(exposure_s=0.001, region=(10, 4, 32, 40))).readout_s == pytest.approx(
        20 * 9.17e-6
    )
    bench.camera.clear_roi()
    assert bench.camera.shape() == (ROWS, COLUMNS)


@pytest.mark.parametrize("binning", [2, 4])
def test_binning_adds_pixels_up(bench: Bench, binning: int) -> None:
    bench.camera.set_exposure(20.0)
    list(bench.sequence(1))
    bench.camera.set_binning(binning)
    list(bench.sequence(1))
    whole, binned = (frame.astype(float) for frame in bench.frames)
    assert binned.shape == (ROWS // binning, COLUMNS // binning)
    blocks = whole.reshape(ROWS // binning, binning, COLUMNS // binning, binning).sum(axis=(1, 3))
    # noise of two frames: 25 electrons, or 53 DN, in a pixel of 600
    assert np.abs(binned - blocks).mean() < 2 * 53 * binning
    assert binned.mean() == pytest.approx(blocks.mean(), rel=0.02)


def test_a_region_counts_binned_pixels(bench: Bench) -> None:
    bench.camera.set_binning(2)
    bench.camera.set_roi(1, 2, 16, 8)
    assert bench.camera.get_roi() == (1, 2, 16, 8)
    list(bench.sequence(1))
    assert bench.frames[-1].shape == (8, 16)


def test_a_symmetric_camera_refuses_other_regions(open_bench: Open) -> None:
    camera = open_bench(world_with(ManualClock(), symmetric_region=True)).camera
    camera.set_roi(0, 4, 64, 40)
    with pytest.raises(ValueError, match="symmetrically"):
        camera.set_roi(0, 4, 64, 30)
    assert camera.get_roi() == (0, 4, 64, 40)


def test_properties_are_called_as_those_of_the_adapter(bench: Bench) -> None:
    camera = bench.camera
    assert camera.get_property_value("Line Time [us]") == 9.17
    camera.set_property_value("PixelRate", "slow scan")
    assert camera.get_property_value("Line Time [us]") == 27.5
    for name, value in (("Triggermode", "Sometimes"), ("Binning", 3), ("Acquiremode", "External")):
        with pytest.raises(ValueError, match=str(value)):
            camera.set_property_value(name, value)


def test_a_lost_frame_leaves_a_gap_in_the_numbers(bench: Bench) -> None:
    bench.arm("lost_frame", after=1)
    assert numbers(list(bench.sequence(4))) == [1, 3, 4]
    assert len(bench.world.exposures_after(0)) == 4


def test_a_single_lost_frame_is_silence(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardware_sim.mm_camera.ANSWER_WITHIN_S", 0.1)
    bench.arm("lost_frame")
    with pytest.raises(ConnectionError, match="no answer"):
        list(bench.sequence(1))
    monkeypatch.undo()
    assert numbers(list(bench.sequence(1))) == [2]


def test_a_frozen_frame_shows_the_one_before_under_a_new_number(bench: Bench) -> None:
    bench.arm("frozen_frame", after=1)
    assert numbers(list(bench.sequence(3))) == [1, 2, 3]
    first, frozen, third = bench.frames
    assert np.array_equal(first, frozen)
    assert not np.array_equal(frozen, third)


def test_a_black_frame_has_seen_no_light(bench: Bench) -> None:
    bench.arm("black_frame", after=1)
    list(bench.sequence(2))
    light, black = bench.frames
    assert light.mean() > 300
    assert black.mean() == pytest.approx(100.0, abs=1.0)
    assert 1.0 < black.std() < 8.0  # 1.5 electrons of read noise, 3.3 DN


def test_an_overrun_loses_frames_and_is_reported_with_the_next(bench: Bench) -> None:
    bench.arm("buffer_overrun", after=2)
    metadata = list(bench.sequence(10))
    assert numbers(metadata) == [1, 2, 7, 8, 9, 10]
    assert [frame["buffer_overrun"] for frame in metadata] == [False, False, True, False, False, False]


def test_an_overrun_at_the_end_is_an_error(bench: Bench) -> None:
    bench.arm("buffer_overrun")
    with pytest.raises(BufferError, match="ran over"):
        list(bench.sequence(1))
    assert numbers(list(bench.sequence(1))) == [2]


@pytest.mark.parametrize("fault", ["garbage", "partial_line", "closed_socket", "silence"])
@pytest.mark.parametrize("after", [0, 1])
def test_a_spoilt_wire_never_yields_a_wrong_frame(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, fault: str, after: int
) -> None:
    monkeypatch.setattr("hardware_sim.mm_camera.ANSWER_WITHIN_S", 0.2)
    reference = bench.world.settings.camera.frame_shape_px
    bench.arm(fault, after=after)
    metadata = []
    try:
        for frame in bench.sequence(3):
            metadata.append(frame)
            assert bench.frames[-1].shape == reference
            assert 100 < bench.frames[-1].mean() < 1500
    except ConnectionError:
        pass
    else:
        assert fault == "silence"
        assert len(metadata) == 2
    expected = [number for number in (1, 2, 3) if number != after + 1]
    assert numbers(metadata) == expected[: len(metadata)]
    monkeypatch.undo()
    assert len(list(bench.sequence(2))) == 2


@pytest.mark.parametrize(
    "request_line",
    [
        b"nonsense",
        b"[" * 4000,
        b"[]",
        b'{"ask": "expose", "setup": {"exposure_s": NaN}}',
        b'{"ask": "expose", "setup": {"exposure_s": 1e9}}',
        b'{"ask": "expose", "setup": {"exposure_s": true}}',
        b'{"ask": "expose", "frames": ' + b"9" * 3000 + b', "setup": {"exposure_s": 0.02}}',
        b'{"ask": "expose", "frames": 0, "setup": {"exposure_s": 0.02}}',
        b'{"ask": "expose", "setup": {"exposure_s": 0.02, "region": [0, 0, 65, 48]}}',
        b'{"ask": "expose", "setup": {"exposure_s": 0.02, "region": [-1, 0, 8, 8]}}',
        b'{"ask": "expose", "setup": {"exposure_s": 0.02, "region": [0, 0, 2, 2], "binning": 4}}',
        b'{"ask": "expose", "setup": {"exposure_s": 0.02, "binning": 3}}',
        b"\xff\xfe",
    ],
)
def test_what_makes_no_sense_is_answered_with_an_error(bench: Bench, request_line: bytes) -> None:
    with socket.create_connection(("127.0.0.1", bench.listener.port), timeout=5) as connection:
        for line in (request_line, b'{"ask": "describe"}'):
            connection.sendall(line + b"\n")
            lines = connection.makefile("rb")
            header = json.loads(lines.readline())
            assert lines.readline() == b"END\n"
            assert ("error" in header) == (line is request_line)


@pytest.mark.parametrize("randomness", ["stream", "keyed"])
def test_a_frame_that_is_worked_out_while_exposed_is_that_of_a_camera_that_waits(randomness: str) -> None:
    def frames(forget_the_proof: bool) -> list[Frame]:
        world = world_with(ManualClock(), randomness=randomness)
        world.scanner.move({0: 2.0, 1: 1.0})
        taken = []
        for shot in world.camera.sequence(Setup(exposure_s=0.01), 3, threading.Event()):
            assert shot.proof is not None
            taken.append(world.camera.develop(replace(shot, proof=None) if forget_the_proof else shot))
        return taken

    assert all(map(np.array_equal, frames(forget_the_proof=False), frames(forget_the_proof=True)))


@pytest.mark.parametrize(
    "happens",
    [
        lambda world: world.scanner.move({0: 2.5}),
        lambda world: world.scanner.drift_burst(0.5, 0.0, 0.001),
        lambda world: world.focus.move(world.settings.optics.in_focus_mm + 0.005, 1.0, 80.0),
    ],
    ids=["the stage moves", "the specimen slips", "the focus changes"],
)
def test_what_happens_during_an_exposure_is_seen(happens: Callable[[World], None]) -> None:
    class Eventful(ManualClock):
        act: Callable[[], None] = staticmethod(lambda: None)

        def sleep_until_s(self, time_s: float) -> None:
            act, self.act = self.act, lambda: None
            act()
            super().sleep_until_s(time_s)

    clock = Eventful()
    world = world_with(clock)
    world.scanner.move({0: 2.0, 1: 1.0})
    clock.advance(1.0)
    shots = world.camera.sequence(Setup(exposure_s=0.02), 2, threading.Event())
    assert next(shots).proof is not None
    clock.act = lambda: happens(world)
    assert next(shots).proof is None
