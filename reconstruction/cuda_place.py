"""Where a network restores frames: a GPU that is never waited for, except for the result.

Frames go there and back through page-locked memory on streams of their own, so that while one is restored, the next
arrives and the one before leaves; each of the threads that ask has one of them under way. What the network does to a
batch is compiled and captured once as a CUDA graph; grey values are made whole numbers before they leave.
"""

import threading
from collections.abc import Callable
from copy import deepcopy
from queue import SimpleQueue
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from reconstruction.networks.network import Network
from reconstruction.normalisation import Normalisation
from reconstruction.restoring_place import channels_last, restored, tensor_of
from reconstruction.tiling import Tiling

SLOTS = 3  # frames under way: one arrives, one is worked on, one leaves
WARM_UP = 3  # runs before the capture, in which libraries make their choices


class Cuda:
    """The GPU, with the body of the network in bfloat16; fulfils `Place`."""

    name = "cuda"
    tile_px = 1536
    batch_px = 8 * 2**20

    def __init__(self, network: Network, said: Callable[[str], None], compiled: bool = True) -> None:
        """Put a copy of a network there.

        Args:
            said: hears if the network could not be compiled.
        """
        self._network = channels_last(deepcopy(network).to("cuda"))
        if torch.cuda.is_bf16_supported():
            self._network.body.to(torch.bfloat16)
        torch.backends.cudnn.benchmark = True  # shapes stay as they are
        if compiled:
            _compile(self._network)
        self._said = said
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._lock = threading.Lock()
        self._captured: dict[tuple[int, ...], _Captured] = {}
        self._slots = SimpleQueue[_Slot]()
        for _ in range(SLOTS):
            self._slots.put(_Slot())

    def restore(self, frame: NDArray[Any], tiling: Tiling, batch: int, normalisation: Normalisation) -> NDArray[Any]:
        slot = self._slots.get()
        try:
            with torch.inference_mode():
                given = slot.send(frame)
                with self._lock, torch.cuda.stream(self._stream):
                    self._stream.wait_stream(slot.stream)
                    run = self._run_of((batch, 1, *tiling.tile_shape))
                    made = restored(given, tiling, run, self._network.scale, normalisation)
                    done = self._stream.record_event()
                return slot.fetch(made, done)
        except torch.OutOfMemoryError:
            with self._lock:
                self._captured.clear()
                torch.cuda.empty_cache()
            raise
        finally:
            self._slots.put(slot)

    def _run_of(self, shape: tuple[int, ...]) -> "_Captured":
        if shape not in self._captured:
            self._captured.clear()  # frames have one shape; their memory is needed
            self._captured[shape] = self._capture(shape)
        return self._captured[shape]

    def _capture(self, shape: tuple[int, ...]) -> "_Captured":
        try:
            return _Captured(self._network, shape)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # no compiler at hand, say
            first = str(error).strip().splitlines() or [type(error).__name__]
            self._said(f"cuda: the network could not be compiled, going on without: {first[0]}")
            _leave_uncompiled(self._network)
            return _Captured(self._network, shape)


class _Captured:
    """A network's work on a batch of one shape; it lies at the same place in memory every time."""

    def __init__(self, network: Network, shape: tuple[int, ...]) -> None:
        self._given = torch.zeros(shape, device="cuda").to(memory_format=torch.channels_last)
        self._graph = torch.cuda.CUDAGraph()
        for _ in range(WARM_UP):
            network(self._given)
        stream = torch.cuda.current_stream()
        with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):  # other threads copy on
            self._made = network(self._given)

    def __call__(self, tiles: Tensor) -> Tensor:
        made = torch.empty((len(tiles), *self._made.shape[1:]), device=tiles.device)
        for start in range(0, len(tiles), len(self._given)):
            part = tiles[start : start + len(self._given)]
            self._given[: len(part)].copy_(part)
            self._graph.replay()
            made[start : start + len(part)].copy_(self._made[: len(part)])
        return made


class _Slot:
    """Page-locked memory for a frame on its way there and back, and the stream of its copies."""

    def __init__(self) -> None:
        self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._there: Tensor = torch.empty(0)
        self._back: Tensor = torch.empty(0)

    def send(self, frame: NDArray[Any]) -> Tensor:
        """Begin to copy a frame to the GPU, on this slot's stream."""
        given = tensor_of(frame)
        self._there = _pinned_like(given, self._there)
        self._there.copy_(given)
        with torch.cuda.stream(self.stream):
            return self._there.to("cuda", non_blocking=True)

    def fetch(self, made: Tensor, done: torch.cuda.Event) -> NDArray[Any]:
        """Copy what was made of it back, as soon as it is done."""
        self._back = _pinned_like(made, self._back)
        with torch.cuda.stream(self.stream):
            self.stream.wait_event(done)
            self._back.copy_(made, non_blocking=True)
            arrived = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            arrived.record()
        arrived.synchronize()
        return self._back.numpy().copy()


def _pinned_like(wanted: Tensor, had: Tensor) -> Tensor:
    if had.shape == wanted.shape and had.dtype == wanted.dtype:
        return had
    return torch.empty(wanted.shape, dtype=wanted.dtype, pin_memory=True)


def _compile(network: Network) -> None:
    """Have the repeated parts compiled on their first use, once for all that are alike."""
    for part in network.repeated():
        part.compile(dynamic=False)


def _leave_uncompiled(network: Network) -> None:
    for part in network.repeated():
        part._compiled_call_impl = None
