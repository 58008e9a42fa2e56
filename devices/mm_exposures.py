"""The frames of one sequence, out of a Micro-Manager core: from a C++ adapter, or from a Python device.

Neither goes by `snapImage`, which has no metadata and so no frame number: one frame is a sequence of one. The sequence
of a Python device is run here, not by UniMMCore: there its errors end in a thread of their own, as a traceback on
stderr, and the late frame of an exposure that was given up would be handed to the next one.

A Python device is taken to be armed when it asks for its first buffer, as pymmcore-plus has them do before they expose.
One that waits for triggers should offer `stop_sequence()`, to be called from another thread.
"""

import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from devices.errors import FramesLost, Stopped
from devices.mm_core import CameraDevice, Core, Pixels
from devices.mm_stream import FrameStream

POLL_S = 0.0005
MS_PER_S = 1000.0
NUMBER_KEY = "exposure_number"  # of a Python device that counts its exposures itself
CORE_NUMBER_KEY = "ImageNumber"  # the core's, from 0 in each sequence
CORE_TIME_KEY = "ElapsedTime-ms"  # since the sequence began


@dataclass(frozen=True, eq=False)
class Image:
    """What a camera delivered: `number` is its own count of its life where it has one, else from 0 in the sequence."""

    pixels: Pixels
    number: int
    time_s: float
    counts_its_life: bool


def python_images(camera: CameraDevice, stream: FrameStream) -> Generator[Image]:
    """Run the camera's own sequence in the calling thread.

    Raises:
        Stopped: nobody waits for its frames; besides, what the camera raises.
    """
    buffers: deque[Pixels] = deque()

    def new_buffer(shape: Sequence[int], dtype: DTypeLike) -> Pixels:
        stream.arm()
        if not stream.wanted():
            raise Stopped(stream.name, "stopped")
        buffers.append(np.empty(shape, dtype))
        return buffers[-1]

    with camera, closing(_as_generator(camera.start_sequence(stream.frames, new_buffer))) as sequence:
        for index, metadata in enumerate(sequence):
            counts_its_life = NUMBER_KEY in metadata
            number = int(metadata[NUMBER_KEY]) if counts_its_life else index
            yield Image(buffers.popleft(), number, time.monotonic(), counts_its_life)


def adapter_images(core: Core, stream: FrameStream) -> Generator[Image]:
    """Have the adapter run a sequence; polled, because it tells nobody. Ends early when nobody waits for its frames.

    Raises:
        FramesLost: its buffer ran over.
    """
    core.start_adapter_sequence(stream.frames)
    began_s = time.monotonic()
    try:
        stream.arm()
        for taken in range(stream.frames):
            if not _await_image(core, stream):
                if core.isBufferOverflowed():
                    raise FramesLost(stream.name, "the camera's buffer ran over", stream.frames - taken)
                return
            pixels, metadata = core.popNextImageAndMD()
            yield Image(
                pixels, int(metadata[CORE_NUMBER_KEY]), _received_s(metadata.get(CORE_TIME_KEY), began_s), False
            )
    finally:
        core.stopSequenceAcquisition()


def _as_generator(sequence: Iterator[Mapping[str, Any]]) -> Generator[Mapping[str, Any]]:
    """A sequence that can be closed, also where a camera returns another kind of iterator than a generator."""
    yield from sequence


def _await_image(core: Core, stream: FrameStream) -> bool:
    """Return whether there is a frame to take; if not, the sequence has ended or nobody waits for it."""
    while stream.wanted():
        running = core.isSequenceRunning()  # first: a frame may come between the two questions
        if core.getRemainingImageCount():
            return True
        if not running:
            return False
        time.sleep(POLL_S)
    return False


def _received_s(elapsed_ms: str | None, began_s: float) -> float:
    """When the core had the frame, on the clock of `time.monotonic`; adapters that count otherwise are not believed."""
    now_s = time.monotonic()
    try:
        received_s = began_s + float(elapsed_ms or "") / MS_PER_S
    except ValueError:
        return now_s
    return received_s if began_s <= received_s <= now_s else now_s
