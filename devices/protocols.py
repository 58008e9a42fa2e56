"""What each kind of device promises; every driver fulfils one of these.

All calls block, and any thread may make them. Each raises `DeviceError` (`errors.py`) and nothing else.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


class Positioner(Protocol):
    """Something with named axes that goes to absolute positions."""

    @property
    def name(self) -> str: ...

    @property
    def axes(self) -> tuple[str, ...]: ...

    @property
    def limits_um(self) -> Mapping[str, tuple[float, float]]:
        """Lowest and highest target of each axis: the rig file's and the controller's, the tighter wins."""

    def start_move(self, targets_um: Mapping[str, float]) -> None:
        """Send one command for all axes named, and return at once.

        Raises:
            OutOfRange: one of the targets is outside `limits_um`; nothing was sent, for no axis.
            DeviceRejected: the controller refused, for instance with its servo or motor off.
        """

    def wait_settled(self) -> None:
        """Return once the move begun last has settled at its target; at once if none was begun.

        Raises:
            DeviceTimeout: not settled by a deadline computed from distance and speed.
            Stopped: `stop()` was called since the move was begun.
        """

    def move_to(self, targets_um: Mapping[str, float]) -> None:
        """`start_move`, then wait for that very move; raises what both raise."""

    def read_position_um(self) -> dict[str, float]:
        """Ask the hardware where all axes are."""

    def stop(self) -> None:
        """Stop all axes now, also while another thread waits in a move: that thread leaves with `Stopped`.

        Returns when the controller has taken the command; a heavy stage may still be slowing down.
        """

    def close(self) -> None:
        """Let go of the connection without moving anything; may be called twice."""


class Homing(Protocol):
    """A positioner that can look for its own zero; only a rig file that asks for it makes it move at connecting."""

    def home(self) -> None:
        """Search the zero and return once it is found; the axes may travel over their whole range meanwhile.

        Raises:
            DeviceTimeout: not found by a deadline computed from travel and speed.
            DeviceRejected: the controller refused, or gave up.
            Stopped: `stop()` was called meanwhile.
        """


@runtime_checkable
class Switchable(Protocol):
    """A positioner whose motor a fault may switch off, and that can switch it on again."""

    def switch_on_again(self) -> None:
        """Switch the motor on if it is off though the stage has moved since connecting; nothing is to travel by it.

        Raises:
            DeviceError: the controller refused, or did not answer.
        """


@runtime_checkable
class Steerable(Positioner, Protocol):
    """A positioner that takes a stream of targets for one axis, beside whatever the other axes are doing."""

    def steer(self, axis: str) -> Callable[[float], None]:
        """Return what sends the axis to a target (um) in one exchange, without waiting for it to arrive.

        It disturbs no move of other axes. What it returns raises:
            OutOfRange: the target is outside `limits_um`; nothing was sent.
            Stopped: `stop()` was called since `steer`; nothing was sent.
            DeviceRejected: the controller refused.
        """

    def steer_past(self, axis: str, target_um: float) -> None:
        """Send an axis to a target past an exchange that is stuck, if there is a way; whether it goes is not known.

        Raises:
            OutOfRange: the target is outside `limits_um`; nothing was sent.
            DeviceLost: there is no other way to the controller.
        """


@dataclass(frozen=True)
class Sweep:
    """One line at constant speed: the axis goes steadily from `from_um` to `to_um` and fires the camera under way.

    `trigger_at_um` is where the axis shall be when each exposure begins: evenly spaced, inside the line, in the order
    of travel.
    """

    axis: str
    from_um: float
    to_um: float
    speed_um_per_s: float
    trigger_at_um: tuple[float, ...]


@runtime_checkable
class LineScanner(Positioner, Protocol):
    """A positioner that sweeps a line by itself and gives a hardware trigger at places along it."""

    def sweep_ends_um(self, sweep: Sweep) -> tuple[float, float]:
        """Tell how far down and up a sweep takes its axis, run-up included; asks nobody.

        Raises:
            ValueError: the sweep contradicts itself.
            OutOfRange: it is on no axis of this scanner, or faster than the axis.
        """

    def start_sweep(self, sweep: Sweep) -> None:
        """Go to where the run-up begins, set up triggers and recorder, start the sweep, and return.

        Raises:
            ValueError: the sweep contradicts itself.
            OutOfRange: the line or its run-up leaves `limits_um`, or is faster than the axis; nothing was sent.
            DeviceRejected: the controller refused; its generator and its triggers are off.
        """

    def wait_swept(self) -> None:
        """Return once the sweep begun last has ended; generator and triggers are off then, however it ended.

        Raises:
            DeviceTimeout: not ended by a deadline computed from length and speed.
            Stopped: `stop()` was called since it was begun.
        """

    def read_swept_um(self, delay_s: float = 0.0) -> list[dict[str, float]]:
        """Tell where all axes were `delay_s` after each trigger of the last sweep, from the controller's recorder.

        Raises:
            ProtocolError: the record does not show the triggers that were asked for.
        """


@dataclass(frozen=True, eq=False)
class Frame:
    """One exposure: `pixels` (y, x), and the `number` by which repeated or lost frames are noticed.

    `time_s` is when it had reached this host, on the clock of `time.monotonic`.
    """

    pixels: NDArray[np.uint16]
    number: int
    time_s: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Roi:
    """A part of the sensor, in px of the frames at the present binning; `x`, `y` count from 0 at the upper left."""

    x: int
    y: int
    width: int
    height: int


class Camera(Protocol):
    """Something that exposes one frame when asked, or a sequence of them."""

    @property
    def name(self) -> str: ...

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Rows and columns of every frame, at the present region and binning."""

    @property
    def skew_s(self) -> float:
        """From the exposure of the first line to that of the last; 0 where all lines are exposed at once."""

    def set_exposure_s(self, exposure_s: float) -> None:
        """Use this exposure time from the next frame on."""

    def set_roi(self, roi: Roi | None) -> None:
        """Read out this part of the sensor only, None for all of it.

        Raises:
            OutOfRange: it is not a part of the sensor; nothing was changed.
            DeviceRejected: the camera refused, or took another region; then all of the sensor is read out.
        """

    def set_binning(self, binning: int) -> None:
        """Sum squares of so many pixels on a side; all of the sensor is read out afterwards.

        Raises:
            DeviceRejected: the camera does not have this binning.
        """

    def snap(self) -> Frame:
        """Expose one frame that begins after this call; ends a sequence, if one is under way.

        Raises:
            DeviceTimeout: no frame by a deadline computed from the exposure.
            FramesLost: the exposure ended without a frame.
            ProtocolError: a frame of the wrong shape or depth.
            FrameRepeated: it is the frame that came before.
            Stopped: `stop()` was called meanwhile.
        """

    def start_sequence(self, frames: int, triggered: bool = False, interval_s: float = 0.0) -> None:
        """Begin a sequence and return once the camera is armed; ends the one before.

        Triggered, each frame is begun by an edge on the camera's trigger input, else by the end of the one before;
        `interval_s` is the longest time from one edge to the next, and the deadlines of the frames allow for it.

        Raises:
            DeviceRejected: the camera refused, or no trigger input is configured.
        """

    def next_frame(self) -> Frame:
        """Wait for the next frame of the sequence; numbers rise by one.

        After any error the sequence has ended.

        Raises:
            DeviceRejected: no sequence is under way, or all its frames were taken.
            DeviceTimeout: no frame by a deadline computed from the exposure; the first has one of its own, for the
                first trigger may take its time.
            FramesLost: there are frames missing before this one, the sequence ended early, or the buffer ran over.
            FrameRepeated: it is the frame that came before.
            ProtocolError: a frame of the wrong shape or depth.
            Stopped: `stop()` was called since the sequence was begun.
        """

    def stop(self) -> None:
        """Give up the exposure or sequence under way, if any; the thread that waits for it leaves with `Stopped`."""

    def close(self) -> None:
        """Let go of the camera; may be called twice."""


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One frame of a video, grey: `pixels` (y, x); `number` counts from 1 what the source was seen to deliver.

    `time_s` is a recording's own time, from 0 at its first frame; for a live source `time.monotonic` at its arrival.
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    number: int
    time_s: float


class VideoSource(Protocol):
    """Something that delivers frames at its own pace: a frame grabber, a stream, or a recording of one."""

    @property
    def name(self) -> str: ...

    @property
    def dropped(self) -> int:
        """How many frames the times of the others show to be missing, since the source was first opened."""

    def read_frame(self) -> VideoFrame:
        """Return a frame that this method has not returned before: live, the latest; of a recording, the next.

        Raises:
            DeviceTimeout: no new frame in time; the next call opens the source again.
            DeviceLost: the source is gone or cannot be opened; the next call tries to, once.
            VideoEnded: the recording has no more frames.
            ProtocolError: a frame of a shape or kind that it should not have.
            Stopped: `stop()` was called meanwhile.
        """

    def stop(self) -> None:
        """End the waiting in `read_frame`; the thread that waits leaves with `Stopped`."""

    def close(self) -> None:
        """Let go of the source; may be called twice."""


class ForceSensor(Protocol):
    """Something that tells the force on the probe."""

    @property
    def name(self) -> str: ...

    def read_force_nn(self) -> float:
        """Ask for the force now.

        Raises:
            Saturated: the detector is at the end of its range; the true force is unknown.
            Stale: the reading is not of now.
        """

    def close(self) -> None:
        """Let go of the connection; may be called twice."""
