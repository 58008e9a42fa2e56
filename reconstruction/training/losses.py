"""What a network is to make small; means over the pixels that count, in units of what networks see."""

import torch
from torch import Tensor
from torch.nn import functional

LEAST_LOG_VARIANCE, MOST_LOG_VARIANCE = -14.0, 4.0  # of a likelihood: beyond, it says nothing new and overflows


def pixel_loss(kind: str, answer: Tensor, target: Tensor, counts: Tensor) -> Tensor:
    """Compare an answer (batch, 1 or 2, y, x) with its target (batch, 1, y, x) where it counts (batch, 1, y, x).

    `l1`, `l2`, or `likelihood`: negative logarithm of that of a normal distribution, whose log-variance is the second
    channel (Kendall and Gal 2017, equation 8).
    """
    apart = answer[:, :1] - target
    if kind == "l1":
        each = apart.abs()
    elif kind == "l2":
        each = apart.square()
    else:
        log_variance = answer[:, 1:].clamp(LEAST_LOG_VARIANCE, MOST_LOG_VARIANCE)
        each = 0.5 * (apart.square() * torch.exp(-log_variance) + log_variance)
    return (each * counts).sum() / counts.sum().clamp(min=1)


def look_real(logits: Tensor) -> Tensor:
    """What a generator pays where a discriminator is not taken in."""
    return functional.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))


def tell_apart(real: Tensor, made: Tensor) -> Tensor:
    """What a discriminator pays for logits of real images and of made ones."""
    known = functional.binary_cross_entropy_with_logits(made, torch.zeros_like(made))
    return 0.5 * (look_real(real) + known)
