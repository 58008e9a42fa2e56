"""Where a network restores frames: what every place does, and the plain one, a processor."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reconstruction.networks.network import Network
from reconstruction.normalisation import Normalisation
from reconstruction.restore import deviation_steps
from reconstruction.tiling import Tiling


class Place(Protocol):
    """Somewhere to restore frames, from any thread."""

    name: str
    tile_px: int  # about, along each axis
    batch_px: int  # that are worked on at once

    def restore(self, frame: NDArray[Any], tiling: Tiling, batch: int, normalisation: Normalisation) -> NDArray[Any]:
        """Restore a frame (y, x), so many tiles at once; (channels, scale * y, scale * x) of the same type.

        Raises:
            torch.OutOfMemoryError: for so many there is too little memory.
        """


def restored(
    frame: Tensor, tiling: Tiling, run: Callable[[Tensor], Tensor], scale: int, normalisation: Normalisation
) -> Tensor:
    """Restore a frame (y, x) where it lies; the first channel in its grey values, the second in steps of deviation.

    Args:
        run: makes tiles (count, channels, scale * y, scale * x) of tiles (count, 1, y, x), normalised both.
    """
    seen = normalisation.seen(frame.to(torch.float32))
    answer = tiling.join(run(tiling.cut(seen)), scale)
    made = normalisation.grey(answer[:1])
    if len(answer) > 1:
        deviation = normalisation.grey_deviation(answer[:1], (answer[1:] / 2).exp())
        made = torch.cat((made, deviation * deviation_steps(np.uint8 if frame.dtype == torch.uint8 else np.uint16)))
    return made.round().clamp(0, torch.iinfo(frame.dtype).max).to(frame.dtype).contiguous()


def tensor_of(frame: NDArray[Any]) -> Tensor:
    """Take a frame (y, x) for a tensor; without a copy, if it may be written to."""
    return torch.from_numpy(np.require(frame, requirements=["C", "W"]))


def channels_last(network: Network) -> Network:
    """Lay out weights as convolutions are fastest with, on processors and on GPUs."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


class Processor:
    """The CPU: float32, a core for each thread that asks, so that none waits for another; fulfils `Place`."""

    name = "cpu"
    tile_px = 512
    batch_px = 2**19

    def __init__(self, network: Network) -> None:
        self._network = channels_last(network)

    def restore(self, frame: NDArray[Any], tiling: Tiling, batch: int, normalisation: Normalisation) -> NDArray[Any]:
        def run(tiles: Tensor) -> Tensor:
            return torch.cat([self._network(part) for part in torch.split(tiles, batch)])

        with _one_core(), torch.inference_mode():
            return restored(tensor_of(frame), tiling, run, self._network.scale, normalisation).numpy()


@contextmanager
def _one_core() -> Iterator[None]:
    """Keep torch's work to the thread that asks for it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
