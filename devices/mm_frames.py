"""What must hold for the frames of a camera: their shape, their numbers, and that no frame comes twice."""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from devices.errors import FrameBlack, FrameRepeated, FramesLost, ProtocolError
from devices.mm_core import Pixels, Shape
from devices.mm_exposures import Image
from devices.protocols import Frame


class FrameChecks:
    """Makes frames of a camera's images; remembers the last one."""

    def __init__(self, name: str, identical_is_frozen: bool, black_below_dn: float | None) -> None:
        self._name = name
        self._identical_is_frozen = identical_is_frozen
        self._black_below_dn = black_below_dn
        self._last: Frame | None = None

    def forget(self) -> None:
        """Forget the last frame: whoever comes back after an error may count anew."""
        self._last = None

    def frames(self, images: Iterable[Image], shape: Shape) -> Iterator[Frame]:
        """Make the frames of one sequence.

        Raises:
            ProtocolError: one of another shape, in colour, or of neither 8 nor 16 bit.
            FramesLost: a number beyond the next.
            FrameRepeated: a number that does not rise; pixels equal to those before, where that means frozen.
            FrameBlack: darker than any frame can be, where that is known.
        """
        before = 0 if self._last is None else self._last.number
        in_sequence = False
        for image in images:
            number = image.number if image.counts_its_life else before + 1 + image.number
            frame = Frame(self._grey16(image.pixels, shape), number, image.time_s)
            self._refuse_repeated(frame)
            if in_sequence and self._last is not None:
                self._refuse_gap(self._last.number, number)
            self._last, in_sequence = frame, True
            self._refuse_black(frame)
            yield frame

    def _grey16(self, pixels: Pixels, shape: Shape) -> NDArray[np.uint16]:
        if pixels.shape != shape or pixels.dtype not in (np.uint8, np.uint16):
            raise ProtocolError(self._name, f"a frame of {pixels.shape} {pixels.dtype}, not {shape} grey")
        return pixels.astype(np.uint16, order="C", copy=False)

    def _refuse_repeated(self, frame: Frame) -> None:
        last = self._last
        if last is None:
            return
        if frame.number <= last.number:
            raise FrameRepeated(self._name, f"frame {frame.number} after frame {last.number}")
        if self._identical_is_frozen and _equal(frame.pixels, last.pixels):
            raise FrameRepeated(self._name, f"frame {frame.number} is frame {last.number} pixel for pixel")

    def _refuse_black(self, frame: Frame) -> None:
        least_dn = self._black_below_dn
        if least_dn is not None and (mean_dn := cv2.mean(frame.pixels)[0]) < least_dn:
            raise FrameBlack(self._name, f"frame {frame.number} is black: mean {mean_dn:.1f}, below {least_dn:g}")

    def _refuse_gap(self, last: int, number: int) -> None:
        if lost := number - last - 1:
            raise FramesLost(self._name, f"frame {number} after frame {last}: {lost} lost", lost)


def _equal(pixels: Pixels, others: Pixels) -> bool:
    """Compare, the first row first: that tells most frames apart at once."""
    return np.array_equal(pixels[:1], others[:1]) and np.array_equal(pixels, others)
