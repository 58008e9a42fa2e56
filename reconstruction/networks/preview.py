"""A small U-Net behind a pixel unshuffle, for processors and for previews: plain convolutions and ReLU only.

60 kFLOP a pixel and 0.86 M parameters in its usual size. Working on half the pixels along each axis, as FFDNet does
(Zhang et al. 2018), makes it see twice as far for a quarter of the work.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from reconstruction.errors import InputError
from reconstruction.networks.config import Config
from reconstruction.networks.network import Network
from reconstruction.networks.u_shape import through_u

UNSHUFFLE = 2
MOST_LEVELS = 6


@dataclass(frozen=True)
class PreviewConfig(Config):
    """Feature maps on the finest level, and levels; each has twice the maps of the one before."""

    width: int = 32
    levels: int = 3

    def __post_init__(self) -> None:
        if self.levels > MOST_LEVELS:
            raise InputError(f"network preview: levels = {self.levels} is outside 1..{MOST_LEVELS}")


class Preview(Network):
    """The fastest restoration."""

    halo_px = 32

    def __init__(self, config: PreviewConfig) -> None:
        super().__init__(config)
        self.multiple_of = UNSHUFFLE * 2 ** (config.levels - 1)
        self.head = nn.Sequential(
            nn.PixelUnshuffle(UNSHUFFLE), nn.Conv2d(self.channels * UNSHUFFLE**2, config.width, 3, padding=1)
        )
        self.body = _UNet(config)
        larger = UNSHUFFLE * config.scale
        self.tail = nn.Sequential(
            nn.Conv2d(config.width, config.out_channels * larger**2, 3, padding=1), nn.PixelShuffle(larger)
        )

    def repeated(self) -> Iterable[nn.Module]:
        return [self.body]


class _UNet(nn.Module):
    def __init__(self, config: PreviewConfig) -> None:
        super().__init__()
        widths = [config.width * 2**level for level in range(config.levels)]
        self.down = nn.ModuleList(_Pair(width) for width in widths[:-1])
        self.smaller = nn.ModuleList(nn.Conv2d(width, 2 * width, 2, stride=2) for width in widths[:-1])
        self.middle = nn.Sequential(_Pair(widths[-1]), _Pair(widths[-1]))
        self.larger = nn.ModuleList(nn.ConvTranspose2d(width, width // 2, 2, stride=2) for width in widths[:0:-1])
        self.up = nn.ModuleList(_Pair(width) for width in widths[-2::-1])

    def forward(self, features: Tensor) -> Tensor:
        features = features.to(next(self.parameters()).dtype)
        return through_u(features, self.down, self.smaller, self.middle, self.larger, self.up)


class _Pair(nn.Module):
    """Two convolutions, added to what they are made from."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        made: Tensor = self.second(functional.relu(self.first(features)))
        return torch.relu(features + made)
