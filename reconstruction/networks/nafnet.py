"""NAFNet: a U-Net of blocks without activation functions (Chen et al. 2022, figures 2c and 3).

Its channel attention weighs feature maps by their means over the image, which would make a tile come out differently
from the whole. Here the means are those of each image only while training; their running mean is kept in the weights
and used from then on. To train the rest to that, end training in `eval()` mode: nothing else depends on the mode.
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

EPSILON = 1e-6
MOMENTUM = 0.01  # of the running mean


@dataclass(frozen=True)
class NafnetConfig(Config):
    """Feature maps at full resolution, and blocks on the way down, at the bottom and up; those of SIDD, table 6."""

    width: int = 32
    down: tuple[int, ...] = (2, 2, 4, 8)
    middle: int = 12
    up: tuple[int, ...] = (2, 2, 2, 2)

    def __post_init__(self) -> None:
        if len(self.up) != len(self.down):
            raise InputError(f"network nafnet: up = {self.up} should have as many numbers as down = {self.down}")


@dataclass(frozen=True)
class Nafnet16Config(NafnetConfig):
    """Half the feature maps."""

    width: int = 16


class Nafnet(Network):
    """The best restoration for its work."""

    halo_px = 64

    def __init__(self, config: NafnetConfig) -> None:
        super().__init__(config)
        self.multiple_of = 2 ** len(config.down)
        self.head = nn.Conv2d(self.channels, config.width, 3, padding=1)
        self.body = _UNet(config)
        self.tail = _enlarging(config.width, config.scale, config.out_channels)

    def repeated(self) -> Iterable[nn.Module]:
        return (part for part in self.body.modules() if isinstance(part, _Block))


class _UNet(nn.Module):
    def __init__(self, config: NafnetConfig) -> None:
        super().__init__()
        widths = [config.width * 2**level for level in range(len(config.down) + 1)]
        self.down = nn.ModuleList(_blocks(*sizes) for sizes in zip(widths[:-1], config.down, strict=True))
        self.smaller = nn.ModuleList(nn.Conv2d(width, 2 * width, 2, stride=2) for width in widths[:-1])
        self.middle = _blocks(widths[-1], config.middle)
        self.larger = nn.ModuleList(_doubling(width) for width in widths[:0:-1])
        self.up = nn.ModuleList(_blocks(*sizes) for sizes in zip(widths[-2::-1], config.up, strict=True))

    def forward(self, features: Tensor) -> Tensor:
        features = features.to(next(self.parameters()).dtype)
        return through_u(features, self.down, self.smaller, self.middle, self.larger, self.up)


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(_Block(width) for _ in range(count)))


def _doubling(width: int) -> nn.Sequential:
    """Half the maps, of twice the size."""
    return nn.Sequential(nn.Conv2d(width, 2 * width, 1, bias=False), nn.PixelShuffle(2))


def _enlarging(width: int, scale: int, out_channels: int) -> nn.Module:
    last = nn.Conv2d(width, out_channels * scale**2, 3, padding=1)
    return last if scale == 1 else nn.Sequential(last, nn.PixelShuffle(scale))


class _Block(nn.Module):
    """Spatial mixing with channel attention, then a mixing of channels; both begin as nothing added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mixing = nn.Sequential(
            _Norm(width),
            nn.Conv2d(width, 2 * width, 1),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width),
            _Gate(),
            _Attention(width),
            nn.Conv2d(width, width, 1),
        )
        self.channels = nn.Sequential(_Norm(width), nn.Conv2d(width, 2 * width, 1), _Gate(), nn.Conv2d(width, width, 1))
        self.beta = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, width, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        features = features + self.beta * self.mixing(features)
        made: Tensor = features + self.gamma * self.channels(features)
        return made


class _Norm(nn.Module):
    """Layer normalisation over the maps, at each pixel by itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, features: Tensor) -> Tensor:
        last = features.permute(0, 2, 3, 1)  # no copy where the memory format is channels_last
        return functional.layer_norm(last, self.weight.shape, self.weight, self.bias, EPSILON).permute(0, 3, 1, 2)


class _Gate(nn.Module):
    """One half of the maps times the other."""

    def forward(self, features: Tensor) -> Tensor:
        one, other = features.chunk(2, dim=1)
        return one * other


class _Attention(nn.Module):
    """Maps times a linear function of their means."""

    mean: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weights = nn.Conv2d(width, width, 1)
        self.register_buffer("mean", torch.zeros(1, width, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        mean = self.mean
        if self.training:
            mean = features.mean((2, 3), keepdim=True)
            with torch.no_grad():
                self.mean.lerp_(mean.detach().mean(0, keepdim=True).to(self.mean.dtype), MOMENTUM)
        made: Tensor = features * self.weights(mean)
        return made
