"""The second stage: begins with the first, and pleases a discriminator and an encoder as well."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reconstruction.errors import InputError
from reconstruction.networks.registry import build
from reconstruction.training.losses import pixel_loss
from reconstruction.training.perceptual import Perceptual
from reconstruction.training.recipe import SHIPPED, Recipe, load_recipe
from reconstruction.training.stages import begin
from tests.reconstruction.models import model
from tests.reconstruction.networks.small import SMALL

CPU = torch.device("cpu")


def recipe_of(first: Path, network: str = "preview", **changed: Any) -> Recipe:
    stages = {"start": str(first), "adversarial": {"features": str(first), "discriminator_width": 8}}
    data = [{"kind": "drawn", "count": 1, "side_px": 32, "seed": 1}]
    config = {"name": network, "config": SMALL[network]}
    optimiser = {"warm_up_steps": 1, "decay_steps": 1}
    return Recipe.model_validate(
        {"name": "gan", "steps": 10, "optimiser": optimiser, "network": config, "data": data} | stages | changed
    )


def images(seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((2, 1, 32, 32)).astype(np.float32) / 16)


def test_the_second_stage_goes_on_from_the_first_and_learns_all_its_losses(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    model(tmp_path / "first")
    learner = begin(recipe_of(tmp_path / "first"), tmp_path, CPU, 1)
    before = {name: value.clone() for name, value in learner.state()["discriminator"].items()}
    seen, target = images(0), images(1)
    paid = learner.learn(seen, target, torch.ones_like(seen))
    assert set(paid) == {"l1", "perceptual", "adversarial", "discriminator"}
    assert all(np.isfinite(value) and value > 0 for value in paid.values())
    after = learner.state()["discriminator"]
    assert any(not torch.equal(before[name], after[name]) for name in before)
    again = begin(recipe_of(tmp_path / "first"), tmp_path, CPU, 1)
    again.restore(learner.state())
    second = [one.learn(seen, target, torch.ones_like(seen)) for one in (learner, again)]
    assert second[0] == second[1]


def test_refuses_a_first_stage_of_another_network(tmp_path: Path) -> None:
    model(tmp_path / "first")
    with pytest.raises(InputError, match="is not the network of the recipe, nafnet_16"):
        begin(recipe_of(tmp_path / "first", "nafnet_16"), tmp_path, CPU, 1)


def test_likeness_is_zero_for_the_same_and_grows_with_the_difference() -> None:
    torch.manual_seed(0)
    compare = Perceptual(build("preview", SMALL["preview"]))
    image = images(0)
    near, far = (image + share * images(1) for share in (0.1, 0.5))
    assert float(compare(image, image)) == 0
    assert 0 < float(compare(near, image)) < float(compare(far, image))
    answer = image.clone().requires_grad_()
    compare(answer, near).backward()
    assert answer.grad is not None
    assert answer.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in compare.parameters())


def test_networks_without_an_encoder_compare_nothing() -> None:
    with pytest.raises(InputError, match="has no encoder"):
        Perceptual(build("rrdb_u4", SMALL["rrdb_u4"]))


@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_only_what_counts_is_paid_for(kind: str) -> None:
    answer, target, counts = torch.zeros(1, 1, 4, 4), torch.full((1, 1, 4, 4), 2.0), torch.zeros(1, 1, 4, 4)
    counts[..., 0, :] = 1
    target[..., 1:, :] = 99
    assert float(pixel_loss(kind, answer, target, counts)) == (2 if kind == "l1" else 4)


def test_the_likelihood_is_best_for_the_true_variance() -> None:
    target = torch.from_numpy(np.random.default_rng(0).normal(0, 0.3, (1, 1, 64, 64)).astype(np.float32))
    counts = torch.ones_like(target)

    def paid(deviation: float) -> float:
        spread = torch.full_like(target, 2 * float(np.log(deviation)))
        return float(pixel_loss("likelihood", torch.cat([torch.zeros_like(target), spread], 1), target, counts))

    assert paid(0.3) < min(paid(0.25), paid(0.36))


@pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED.glob("*.toml")))
def test_shipped_recipes_are_recipes(name: str) -> None:
    recipe, _ = load_recipe(name)
    assert recipe.name == name
    assert recipe.held_out
    with torch.device("meta"):
        network = build(recipe.network.name, recipe.network.config)
    assert recipe.crop_px % network.multiple_of == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = 1 1", "not TOML"),
        ('name = "My SEM model"\nsteps = 3000\n', "name: String should match pattern"),
        ('name = "x"\nsteps = 0\n', "steps: Input should be greater than 0, got 0"),
        ('name = "x"\nsteps = 3000\nnetwork = {name = "preview"}\n[[data]]\nkind = "none"\n', "data.0"),
    ],
)
def test_says_what_is_wrong_with_a_recipe(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(InputError, match=said):
        load_recipe(str(tmp_path / "bad.toml"))
    with pytest.raises(InputError, match="is neither a file nor one of"):
        load_recipe("no such recipe")
