"""What every restoring network is: head and tail in float32, a body that may run in less, and the image added last."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import asdict
from math import log
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from reconstruction.networks.config import Config
from reconstruction.normalisation import SIGMAS


class Network(nn.Module):
    """Restores normalised images; what it answers is the image plus what `tail` makes of `body` of `head` of it."""

    network: str  # its name in the registry
    channels: ClassVar[int] = 1  # of an image
    halo_px: ClassVar[int]  # how far beyond a part of an image it has to look for the part to come out the same
    multiple_of: int  # pixels that a side of an image is a multiple of
    head: nn.Module
    body: nn.Module  # takes features in float32, and works in the format of its weights
    tail: nn.Module

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config: dict[str, Any] = asdict(config)
        self.scale = config.scale
        self.out_channels = config.out_channels

    def forward(self, image: Tensor) -> Tensor:
        """Restore an image (batch, 1, y, x); float32 (batch, out_channels, scale * y, scale * x).

        A second channel is the logarithm of the variance of the first; at first that of the noise.
        """
        made = self.tail(self.body(self.head(image)).to(image.dtype))
        grey = made[:, :1] + _enlarged(image, self.scale)
        return grey if self.out_channels == 1 else torch.cat((grey, made[:, 1:] - 2 * log(SIGMAS)), dim=1)

    @abstractmethod
    def repeated(self) -> Iterable[nn.Module]:
        """Give the parts of the body that occur again and again, each worth compiling on its own."""


def _enlarged(image: Tensor, scale: int) -> Tensor:
    if scale == 1:
        return image
    return functional.interpolate(image, scale_factor=float(scale), mode="bilinear")
