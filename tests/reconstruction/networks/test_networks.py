"""The restoring networks: sizes as published, grids that fit, near the identity at first, and able to learn."""

import json
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from reconstruction.errors import InputError
from reconstruction.networks.network import Network
from reconstruction.networks.registry import NETWORKS, build
from tests.reconstruction.networks.small import SMALL

NAMES = sorted(NETWORKS)


def small(name: str, **options: Any) -> Network:
    torch.manual_seed(0)
    return build(name, SMALL[name] | options)


@pytest.mark.parametrize(
    ("name", "parameters", "flop_per_px"),
    [  # the scale 1 of Real-ESRGAN as released; NAFNet: 16 GMAC at 256 x 256 and 29.16 M as released
        ("rrdb_u4", 16.7e6, 2.24e6),
        ("nafnet_32", 29.2e6, 0.49e6),
        ("preview", 0.86e6, 0.06e6),  # no other than ours
    ],
)
def test_sizes_are_those_of_the_papers(name: str, parameters: float, flop_per_px: float) -> None:
    with torch.device("meta"):
        module = build(name, {}).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module(torch.empty(1, 1, 64, 64))
    assert sum(each.numel() for each in module.parameters()) == pytest.approx(parameters, rel=0.01)
    assert counter.get_total_flops() / 64**2 == pytest.approx(flop_per_px, rel=0.01)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("scale", "out_channels"), [(1, 1), (2, 2)])
def test_what_comes_out_has_the_scale_and_the_channels_asked_for(name: str, scale: int, out_channels: int) -> None:
    module = small(name, scale=scale, out_channels=out_channels)
    side = 2 * module.multiple_of
    with torch.no_grad():
        made = module(torch.randn(2, 1, side, 3 * side))
    assert made.shape == (2, out_channels, scale * side, scale * 3 * side)
    assert (module.scale, module.out_channels, made.dtype) == (scale, out_channels, torch.float32)


@pytest.mark.parametrize("name", NAMES)
def test_a_config_makes_the_same_network_after_a_way_through_json(name: str) -> None:
    module = small(name, scale=2)
    again = build(name, json.loads(json.dumps(module.config)))
    assert again.config == module.config
    again.load_state_dict(module.state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_a_scale_of_two_stays_on_the_grid(name: str) -> None:
    """A pixel of the image lies in the middle of the four that are made of it."""
    module = small(name, scale=2).eval()
    slope = torch.linspace(-1, 1, 64).expand(1, 1, 64, 64)
    with torch.no_grad():
        for parameter in module.tail.parameters():
            parameter.zero_()  # leaves what the network adds to
        made = functional.avg_pool2d(module(slope), 2)
    assert (made - slope)[..., 2:-2].abs().max() < 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_the_body_alone_runs_in_bfloat16(name: str) -> None:
    module = small(name).eval()
    image = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        fine = module(image)
        module.body.to(torch.bfloat16)
        coarse = module(image)
    assert coarse.dtype == torch.float32
    assert (fine - coarse).abs().max() < 0.02  # 8 bits of mantissa, of what is added only


def _noisy_stripes(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    phase = torch.rand(4, 1, 1, 1, generator=generator) * 6.28
    clean = 0.3 * torch.sin(torch.arange(32.0).view(1, 1, 1, 32) / 2 + phase).expand(4, 1, 32, 32)
    return clean, clean + torch.randn(4, 1, 32, 32, generator=generator) / 16


@pytest.mark.parametrize(
    ("name", "steps"),  # the others differ from these in one number, and take long
    [
        ("rrdb_full", 25),
        ("rrdb_u2", 50),
        ("nafnet_16", 50),
        ("preview", 70),
    ],
)
def test_learns_to_clean_noisy_stripes(name: str, steps: int) -> None:
    module = small(name).train()
    optimiser = torch.optim.AdamW(module.parameters(), lr=3e-3, weight_decay=0)
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        clean, noisy = _noisy_stripes(generator)
        optimiser.zero_grad()
        (module(noisy) - clean).abs().mean().backward()
        optimiser.step()
    clean, noisy = _noisy_stripes(generator)
    with torch.no_grad():
        left = (module(noisy) - clean).square().mean() / (noisy - clean).square().mean()
    assert left < 0.5  # 3 dB


@pytest.mark.parametrize("name", ["nafnet_16", "nafnet_32"])
def test_nafnet_looks_at_the_whole_image_only_while_training(name: str) -> None:
    module = small(name)
    with torch.no_grad():
        for part in module.repeated():
            torch.nn.init.normal_(part.beta)
        image = torch.randn(1, 1, 256, 256)
        changed = image.clone()
        changed[..., :32, :32] += 3.0
        far = (..., slice(-32, None), slice(-32, None))
        assert not torch.equal(module(image)[far], module(changed)[far])
        module.eval()
        assert torch.equal(module(image)[far], module(changed)[far])


@pytest.mark.parametrize(
    ("name", "config", "said"),
    [
        ("vgg", {}, "network: 'vgg' is not one of nafnet_16, .*rrdb_u4"),
        ("rrdb_u4", {"wide": 3}, "network rrdb_u4: 'wide' is not one of blocks, growth"),
        ("rrdb_u4", {"blocks": 0}, "blocks = 0 is not a whole number in 1..4096"),
        ("rrdb_u4", {"blocks": True}, "blocks = True is not a whole number"),
        ("rrdb_u4", {"blocks": "3"}, "blocks = '3' is not a whole number"),
        ("preview", {"scale": 3}, r"scale = 3 is not one of \(1, 2, 4\)"),
        ("preview", {"out_channels": 3}, r"out_channels = 3 is not one of \(1, 2\)"),
        ("nafnet_16", {"down": 3}, "down = 3 is not a list of 1..8 whole numbers"),
        ("nafnet_16", {"down": [2]}, "as many numbers as down"),
    ],
)
def test_refuses_what_no_network_is(name: str, config: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        build(name, config)
