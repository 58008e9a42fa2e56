"""A network while it learns: its weights, their running mean, its optimiser, and what it has paid so far."""

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from reconstruction.networks.network import Network
from reconstruction.training.losses import look_real, pixel_loss, tell_apart
from reconstruction.training.perceptual import Perceptual
from reconstruction.training.recipe import Adversarial, Optimiser, Recipe


class Diverged(RuntimeError):
    """A loss or a gradient is no longer a number; the message names the step."""


class Learner:
    """The first stage: pixels alone (SEMNET)."""

    def __init__(self, recipe: Recipe, network: Network, ranks: int = 1) -> None:
        """Begin with a network that lies on its device; with several `ranks` they share their gradients."""
        self.step = 0
        self.losses: dict[str, list[float]] = {}
        self.network = network
        self.mean = copy.deepcopy(network).eval().requires_grad_(False)
        self._recipe = recipe
        self._ranks = ranks
        self._shared = _shared(ranks)
        self._answering = self._shared(network)
        self._optimiser = _adam(network.parameters(), recipe.optimiser, recipe.optimiser.learning_rate)

    def learn(self, seen: Tensor, target: Tensor, counts: Tensor) -> dict[str, float]:
        """Take a step on a batch, all (batch, 1, y, x); what it cost.

        Raises:
            Diverged: the step was not taken.
        """
        loss = pixel_loss(self._recipe.loss, self._answer(seen), target, counts)
        self._improve(self.network, self._optimiser, loss)
        return self._noted({self._recipe.loss: loss})

    def state(self) -> dict[str, Any]:
        """All that a checkpoint needs; data follow from the step (see `loop`)."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        return {"step": self.step, "losses": self.losses, **parts}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.step, self.losses = int(state["step"]), state["losses"]

    def _parts(self) -> dict[str, Any]:
        return {"network": self.network, "mean": self.mean, "optimiser": self._optimiser}

    def _answer(self, seen: Tensor) -> Tensor:
        falling = self.step >= self._recipe.steps - self._recipe.optimiser.decay_steps
        self.network.train(not falling)  # attention settles on the means that it will have (see `nafnet`)
        with torch.autocast(seen.device.type, torch.bfloat16, enabled=seen.device.type == "cuda"):
            answer: Tensor = self._answering(seen)
        return answer.float()

    def _improve(self, network: nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * _rate(self.step, self._recipe)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(network.parameters(), self._recipe.optimiser.most_gradient)
        good = torch.isfinite(loss.detach() + norm).float()  # both: a loss that is no number may have a slope of 0
        if self._ranks > 1:
            torch.distributed.all_reduce(good, torch.distributed.ReduceOp.MIN)  # so that all of them stop
        if not good:
            raise Diverged(f"step {self.step}: loss {float(loss.detach()):g}, gradient {float(norm):g}: not finite")
        optimiser.step()

    def _noted(self, losses: dict[str, Tensor]) -> dict[str, float]:
        self._follow()
        paid = {name: float(loss.detach()) for name, loss in losses.items()}
        for name, value in paid.items():
            self.losses.setdefault(name, []).append(value)
        self.step += 1
        return paid

    @torch.no_grad()
    def _follow(self) -> None:
        """Let the running mean come along; soon at first, for it begins with untrained weights."""
        kept = min(self._recipe.optimiser.ema, (1 + self.step) / (10 + self.step))
        for mean, now in zip(self.mean.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(now, 1 - kept)
        for kept_buffer, buffer in zip(self.mean.buffers(), self.network.buffers(), strict=True):
            kept_buffer.copy_(buffer)


class AdversarialLearner(Learner):
    """The second stage: pixels, features, and a discriminator to please (SEMGAN)."""

    def __init__(
        self,
        recipe: Recipe,
        network: Network,
        stage: Adversarial,
        perceptual: Perceptual,
        discriminator: nn.Module,
        ranks: int = 1,
    ) -> None:
        super().__init__(recipe, network, ranks)
        self._stage = stage
        self._perceptual = perceptual
        self._discriminator = discriminator
        self._judging = self._shared(discriminator)
        self._optimiser = _adam(network.parameters(), recipe.optimiser, stage.learning_rate)
        self._judge = _adam(discriminator.parameters(), recipe.optimiser, stage.learning_rate)

    def learn(self, seen: Tensor, target: Tensor, counts: Tensor) -> dict[str, float]:
        """Take a step of the network, then one of the discriminator; see `Learner.learn`."""
        stage, answer = self._stage, self._answer(seen)
        pixels = pixel_loss(self._recipe.loss, answer, target, counts)
        image = answer[:, :1]
        self._discriminator.requires_grad_(False)
        perceptual, fooled = self._perceptual(image, target), look_real(self._discriminator(image))
        whole = stage.pixels * pixels + stage.perceptual * perceptual + stage.adversarial * fooled
        self._improve(self.network, self._optimiser, whole)
        self._discriminator.requires_grad_(True)
        told = self._judging(torch.cat([target, image.detach()]))
        apart = tell_apart(*told.chunk(2))
        self._improve(self._discriminator, self._judge, apart)
        return self._noted(
            {self._recipe.loss: pixels, "perceptual": perceptual, "adversarial": fooled, "discriminator": apart}
        )

    def _parts(self) -> dict[str, Any]:
        return {**super()._parts(), "discriminator": self._discriminator, "judge": self._judge}


def _rate(step: int, recipe: Recipe) -> float:
    """Part of the full learning rate: up, level, down to 0."""
    up = (step + 1) / recipe.optimiser.warm_up_steps
    down = (recipe.steps - step) / recipe.optimiser.decay_steps
    return min(up, 1.0, down)


def _adam(parameters: Iterable[nn.Parameter], optimiser: Optimiser, rate: float) -> torch.optim.Adam:
    made = torch.optim.Adam(parameters, rate, betas=optimiser.betas)
    for group in made.param_groups:
        group["peak"] = rate
    return made


def _shared(ranks: int) -> Callable[[nn.Module], nn.Module]:
    return DistributedDataParallel if ranks > 1 else lambda network: network
