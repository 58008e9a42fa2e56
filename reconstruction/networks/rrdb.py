"""Residual-in-residual dense blocks, with the trunk at all, a half or a quarter of the pixels along each axis.

Wang et al. 2018 (ESRGAN, figure 4); the trunk behind a pixel unshuffle: Wang et al. 2021 (Real-ESRGAN, section 3.3).
Unlike there, the image itself is added to what is made of it, so that training begins near the identity.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import log2
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from reconstruction.networks.config import Config
from reconstruction.networks.network import Network

SLOPE = 0.2  # of the leaky ReLU
SHARE = 0.2  # of what a block adds
START = 0.1  # of the usual size of initial weights in dense blocks


@dataclass(frozen=True)
class RrdbConfig(Config):
    """Feature maps of the trunk, those that each convolution of a dense block adds, and blocks."""

    width: int = 64
    growth: int = 32
    blocks: int = 23


class Rrdb(Network):
    """The trunk at full resolution: the reference for quality."""

    halo_px = 32
    unshuffle: ClassVar[int] = 1

    def __init__(self, config: RrdbConfig) -> None:
        super().__init__(config)
        self.multiple_of = self.unshuffle
        first = nn.Conv2d(self.channels * self.unshuffle**2, config.width, 3, padding=1)
        self.head = nn.Sequential(nn.PixelUnshuffle(self.unshuffle), first)
        self.body = _Trunk(config, doublings=round(log2(self.unshuffle * config.scale)))
        self.tail = nn.Conv2d(config.width, config.out_channels, 3, padding=1)
        _begin_small(self.tail)

    def repeated(self) -> Iterable[nn.Module]:
        return (part for part in self.body.modules() if isinstance(part, _Block))


class RrdbU2(Rrdb):
    """The trunk at half resolution: a quarter of the work."""

    halo_px = 48
    unshuffle = 2


class RrdbU4(Rrdb):
    """The trunk at a quarter of the resolution: for throughput."""

    halo_px = 64
    unshuffle = 4


class _Trunk(nn.Module):
    def __init__(self, config: RrdbConfig, doublings: int) -> None:
        super().__init__()
        width = config.width
        self.blocks = nn.Sequential(*(_Block(width, config.growth) for _ in range(config.blocks)))
        self.after = nn.Conv2d(width, width, 3, padding=1)
        self.doublings = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(doublings))
        self.fine = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        kind = self.after.weight.dtype
        features = (features + self.after(self.blocks(features).to(kind))).to(kind)
        for convolution in self.doublings:
            larger = functional.interpolate(features, scale_factor=2.0, mode="nearest")
            features = functional.leaky_relu(convolution(larger), SLOPE)
        return functional.leaky_relu(self.fine(features), SLOPE)


class _Block(nn.Module):
    """Three dense blocks; the sum that goes from block to block stays in float32, for there are many to add."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.Sequential(*(_Dense(width, growth) for _ in range(3)))

    def forward(self, features: Tensor) -> Tensor:
        made: Tensor = self.dense(features.to(next(self.parameters()).dtype))
        return features + SHARE * made


class _Dense(nn.Module):
    """Five convolutions, each of which sees what all before it have made."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        sizes = [growth] * 4 + [width]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(width + i * growth, size, 3, padding=1) for i, size in enumerate(sizes)
        )
        for convolution in self.convolutions:
            _begin_small(convolution)

    def forward(self, features: Tensor) -> Tensor:
        made = [features]
        for convolution in self.convolutions[:-1]:
            made.append(functional.leaky_relu(convolution(torch.cat(made, dim=1)), SLOPE))
        last: Tensor = self.convolutions[-1](torch.cat(made, dim=1))
        return features + SHARE * last


def _begin_small(convolution: nn.Module) -> None:
    assert isinstance(convolution, nn.Conv2d)
    nn.init.kaiming_normal_(convolution.weight)
    with torch.no_grad():
        convolution.weight *= START
        if convolution.bias is not None:
            convolution.bias.zero_()
