"""The way through a U-Net: down with what was seen kept at each level, and up again with it added."""

from collections.abc import Iterable

from torch import Tensor, nn


def through_u(
    features: Tensor,
    down: Iterable[nn.Module],
    smaller: Iterable[nn.Module],
    middle: nn.Module,
    larger: Iterable[nn.Module],
    up: Iterable[nn.Module],
) -> Tensor:
    """Features (batch, channels, y, x) of the same shape; `smaller` halves and `larger` doubles what lies between."""
    kept = []
    for work, halved in zip(down, smaller, strict=True):
        features = work(features)
        kept.append(features)
        features = halved(features)
    features = middle(features)
    for doubled, work in zip(larger, up, strict=True):
        features = work(doubled(features) + kept.pop())
    return features
