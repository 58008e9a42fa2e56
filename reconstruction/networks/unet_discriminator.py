"""Says of each pixel whether a network made it: a U-Net with spectral normalisation.

Wang et al. 2021 (Real-ESRGAN, figure 5).
"""

from typing import cast

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

SLOPE = 0.2
LEVELS = 3
MULTIPLE_OF = 2**LEVELS


class UNetDiscriminator(nn.Module):
    """Only needed in training; 4.4 M parameters with a width of 64."""

    def __init__(self, channels: int = 1, width: int = 64) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(LEVELS + 1)]
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.down = nn.ModuleList(_normed(size, 2 * size, 4, stride=2) for size in widths[:-1])
        self.up = nn.ModuleList(_normed(size, size // 2, 3) for size in widths[:0:-1])
        self.last = nn.Sequential(
            _normed(width, width, 3),
            nn.LeakyReLU(SLOPE),
            _normed(width, width, 3),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, 1, 3, padding=1),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Give logits (batch, 1, y, x) of an image (batch, channels, y, x), sides multiples of 8; high means real."""
        features = functional.leaky_relu(self.first(image), SLOPE)
        kept = []
        for convolution in self.down:
            kept.append(features)
            features = functional.leaky_relu(convolution(features), SLOPE)
        for convolution in self.up:
            larger = functional.interpolate(features, scale_factor=2.0, mode="bilinear")
            features = functional.leaky_relu(convolution(larger), SLOPE) + kept.pop()
        return cast(Tensor, self.last(features))


def _normed(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Module:
    return spectral_norm(nn.Conv2d(inputs, outputs, size, stride=stride, padding=1, bias=False))
