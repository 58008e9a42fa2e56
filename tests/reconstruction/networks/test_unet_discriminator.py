"""The discriminator: its published size, a judgement a pixel, bounded weights, and able to tell noise from stripes."""

import torch
from torch import nn
from torch.nn import functional

from reconstruction.networks.unet_discriminator import UNetDiscriminator


def test_has_the_size_of_the_paper() -> None:
    made = UNetDiscriminator()
    assert round(sum(each.numel() for each in made.parameters()) / 1e6, 1) == 4.4
    assert made(torch.zeros(2, 1, 16, 24)).shape == (2, 1, 16, 24)


def test_no_inner_convolution_stretches_what_it_is_given() -> None:
    torch.manual_seed(0)
    made = UNetDiscriminator(width=8).train()
    for _ in range(30):  # of the power iteration
        made(torch.randn(1, 1, 16, 16))
    convolution = made.down[1]
    assert isinstance(convolution, nn.Conv2d)
    assert abs(torch.linalg.matrix_norm(convolution.weight.flatten(1), 2).item() - 1) < 0.02


def test_learns_to_tell_where_an_image_is_noise() -> None:
    torch.manual_seed(0)
    made = UNetDiscriminator(width=8)
    steps = torch.optim.Adam(made.parameters(), lr=2e-3)
    image, real = torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)
    real[..., :16] = 1.0
    for _ in range(60):
        image[..., :16] = torch.sin(torch.arange(16.0) / 2 + torch.rand(1))
        image[..., 16:] = torch.randn(32, 16)
        steps.zero_grad()
        functional.binary_cross_entropy_with_logits(made(image), real).backward()
        steps.step()
    right = (made(image) > 0) == (real > 0)
    assert right.float().mean() > 0.9
