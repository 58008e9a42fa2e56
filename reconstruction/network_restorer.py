"""Restore frames with a network: in tiles without seams, wherever there is memory for them."""

import threading
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray

from reconstruction.cuda_place import Cuda
from reconstruction.errors import InputError
from reconstruction.model_card import Card
from reconstruction.networks.network import Network
from reconstruction.normalisation import Normalisation
from reconstruction.restoring_place import Place, Processor
from reconstruction.tiling import Tiling
from reconstruction.weights import load

DEVICES = ("auto", "cpu", "cuda")


class _Where(NamedTuple):
    place: Place
    most_px: int  # at once


class NetworkRestorer:
    """A network, and where it runs; fulfils `Restorer`."""

    def __init__(self, network: Network, card: Card, place: Place, said: Callable[[str], None]) -> None:
        """Start on a place; where its memory is too small, with less at once, and on the CPU in the end.

        Args:
            said: hears, a line each, what the user should know of how it goes.
        """
        self.name = card.name
        self.sha256 = card.sha256
        self.halo_px = network.halo_px
        self.scale = network.scale
        self._network = network
        self._said = said
        self._where = _Where(place, place.batch_px)
        self._lock = threading.Lock()

    def restore(self, frame: NDArray[Any]) -> NDArray[Any]:
        restored: NDArray[Any] = self._channels(frame)[0]
        return restored

    def _channels(self, frame: NDArray[Any]) -> NDArray[Any]:
        normalisation = Normalisation.of(frame)
        while True:
            where = self._where
            tiling = Tiling.of(frame.shape, where.place.tile_px, self.halo_px, self._network.multiple_of)
            batch = _batch(tiling, where.most_px)
            try:
                return where.place.restore(frame, tiling, batch, normalisation)
            except torch.OutOfMemoryError as error:
                with self._lock:
                    if self._where is where:  # no other thread has seen to it
                        self._where = self._smaller(where, batch, tiling, error)

    def _smaller(self, where: _Where, batch: int, tiling: Tiling, error: Exception) -> _Where:
        name, (height, width) = where.place.name, tiling.tile_shape
        short = f"model {self.name}: {name} has too little memory for {batch} x {width} x {height} px at once"
        if batch > 1:
            self._said(f"{short}; going on with {batch // 2} tiles")
            return _Where(where.place, batch // 2 * height * width)
        if name == Processor.name:
            raise MemoryError(short) from error
        self._said(f"{short}; going on with the CPU, which is much slower")
        place = Processor(self._network)
        return _Where(place, place.batch_px)


class UncertainNetworkRestorer(NetworkRestorer):
    """A network that also says how far it may be off; fulfils `UncertainRestorer`."""

    def restore_with_deviation(self, frame: NDArray[Any]) -> NDArray[Any]:
        return self._channels(frame)


def network_restorer(folder: Path, device: str, said: Callable[[str], None]) -> NetworkRestorer:
    """Load a model, on a device of `DEVICES`.

    Raises:
        InputError: no such model or device, or a model that cannot be trusted.
    """
    if device not in DEVICES:
        raise InputError(f"device: {device!r} is not one of {', '.join(DEVICES)}")
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise InputError("device: 'cuda' is not there, or this PyTorch is built without it")
    network, card = load(folder)
    place = _gpu(network, card, said) if there and device != "cpu" else Processor(network)
    kind = NetworkRestorer if network.out_channels == 1 else UncertainNetworkRestorer
    return kind(network, card, place, said)


def _gpu(network: Network, card: Card, said: Callable[[str], None]) -> Place:
    try:
        return Cuda(network, said)
    except torch.OutOfMemoryError:
        said(f"model {card.name}: cuda has no memory for it; going on with the CPU, which is much slower")
        return Processor(network)


def _batch(tiling: Tiling, most_px: int) -> int:
    """How many tiles at once: as many each time, so that none is for nothing."""
    height, width = tiling.tile_shape
    times = ceil(tiling.count / max(1, most_px // (height * width)))
    return ceil(tiling.count / times)
