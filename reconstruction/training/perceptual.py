"""Likeness as a network sees it: distances between features of this project's own frozen encoder.

As Johnson, Alahi and Fei-Fei (2016) use VGG's, which would have to be downloaded. The encoder is that of a U-Net that
learned to denoise microscope images.
"""

from typing import Any

import torch
from torch import Tensor, nn

from reconstruction.errors import InputError


class Perceptual(nn.Module):
    """Compares images by all levels of a frozen encoder."""

    def __init__(self, network: nn.Module) -> None:
        """Take the way down of a U-Net, `network.body.down`.

        Raises:
            InputError: a network without one.
        """
        super().__init__()
        down = encoder_of(network)
        self._network = network.eval().requires_grad_(False)
        self._features: list[Tensor] = []
        for level in down:
            level.register_forward_hook(self._keep)

    def forward(self, answer: Tensor, target: Tensor) -> Tensor:
        """Mean absolute difference of features, each pixel's scaled to length 1; images (batch, 1, y, x)."""
        with torch.no_grad():
            wanted = self._seen(target)
        given = self._seen(answer)
        differences = [(one - other).abs().sum(dim=1).mean() for one, other in zip(given, wanted, strict=True)]
        return torch.stack(differences).mean()

    def _seen(self, image: Tensor) -> list[Tensor]:
        self._features = []
        self._network(image)
        return [level / (level.norm(dim=1, keepdim=True) + 1e-6) for level in self._features]

    def _keep(self, module: nn.Module, given: Any, made: Tensor) -> None:
        self._features.append(made)


def encoder_of(network: nn.Module) -> nn.ModuleList:
    """Give the way down of a U-Net.

    Raises:
        InputError: a network without one.
    """
    down = getattr(network.body, "down", None)
    if not isinstance(down, nn.ModuleList):
        raise InputError(f"adversarial.features: a {type(network).__name__} has no encoder; take a U-Net")
    return down
