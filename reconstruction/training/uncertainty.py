"""How far a network says that it may be off, against how far it is."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from reconstruction.networks.network import Network
from reconstruction.normalisation import Normalisation

Frame = tuple[NDArray[Any], NDArray[np.float32]]
WITHIN = {"within_1": 1.0, "within_2": 2.0}  # deviations: 68.3 and 95.4 % of normal errors


def errors(network: Network, frames: Sequence[Frame]) -> NDArray[np.float32]:
    """Errors of a network with two channels on frames (y, x) and their truths, each in deviations that it claims."""
    found = []
    for frame, truth in frames:
        normalisation = Normalisation.of(frame)
        rows, columns = (size // network.multiple_of * network.multiple_of for size in frame.shape)
        seen = normalisation.seen(frame.astype(np.float32))[:rows, :columns]
        with torch.inference_mode():
            answer = network(torch.from_numpy(np.ascontiguousarray(seen))[None, None])[0].numpy()
        off = answer[0] - normalisation.target(truth)[:rows, :columns]
        found.append((off / np.exp(answer[1] / 2)).ravel())
    return np.concatenate(found)


def calibrate(network: Network, frames: Sequence[Frame]) -> float:
    """Scale the deviations that a network claims so that its errors on frames are as large in the mean; by how much.

    The factor goes into the bias of its last convolution, whose second half makes the log-variance.
    """
    factor = float(np.sqrt(np.mean(np.square(errors(network, frames)))))
    last = [layer for layer in network.tail.modules() if isinstance(layer, nn.Conv2d)][-1]
    assert last.bias is not None
    with torch.no_grad():
        last.bias[len(last.bias) // 2 :] += 2 * math.log(factor)
    return factor


def coverage(network: Network, frames: Sequence[Frame]) -> dict[str, float]:
    """Share of errors within one and two of the deviations claimed, and the rms of errors in them; 1 is right."""
    found = errors(network, frames)
    shares = {name: float(np.mean(np.abs(found) <= most)) for name, most in WITHIN.items()}
    return shares | {"error_over_deviation_rms": float(np.sqrt(np.mean(np.square(found))))}
