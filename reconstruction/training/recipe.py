"""Recipes: everything that decides what a training makes, in one TOML file."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError, model_validator

from reconstruction.errors import InputError
from reconstruction.model_card import NAME
from reconstruction.networks.config import LARGEST
from reconstruction.training.low_definition import FEWEST_QUANTA

SHIPPED = Path(__file__).parent / "recipes"
MOST_QUANTA = 1e6

Seed = Annotated[int, Field(ge=0, lt=2**63)]
Rate = Annotated[float, Field(gt=0.0, le=1.0)]
Kept = Annotated[float, Field(ge=0.0, lt=1.0)]


class Part(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NetworkChoice(Part):
    """One of `reconstruction.networks.registry`, and what of its config is not as usual."""

    name: str
    config: dict[str, Any] = {}


class Optimiser(Part):
    """Adam; its rate rises over `warm_up_steps`, stays, and falls to 0 over the last `decay_steps`."""

    learning_rate: Rate = 1e-3
    betas: tuple[Kept, Kept] = (0.9, 0.99)
    warm_up_steps: PositiveInt = 100
    decay_steps: PositiveInt = 1000
    most_gradient: PositiveFloat = 1.0
    """Norm to which gradients are cut."""
    ema: Kept = 0.999
    """Of the weights: how much of their running mean a step leaves."""


class Adversarial(Part):
    """The second stage (SEMGAN): a discriminator and features to please; `start` names the first stage's model."""

    features: str
    """Name or folder of the model whose frozen encoder compares (see `perceptual`)."""
    pixels: PositiveFloat = 1.0
    perceptual: PositiveFloat = 1.0
    adversarial: PositiveFloat = 0.1
    learning_rate: Rate = 1e-4
    discriminator_width: Annotated[int, Field(ge=1, le=LARGEST)] = 64


class Specimen(Part):
    """One specimen of the twin."""

    name: str
    pixel_nm: PositiveFloat
    seed: Seed


class Quanta(Part):
    """How noisy frames of clean images become: of any kind, or with a given count of quanta and no other noise."""

    quanta: Annotated[float, Field(ge=0.01, le=MOST_QUANTA)] | None = None
    most_quanta: Annotated[float, Field(gt=FEWEST_QUANTA, le=MOST_QUANTA)] = 800.0
    """Of any kind: in a pixel of brightness 1, in the best of them."""


class DrawnData(Quanta):
    """Drawn scenes (see `scenes`)."""

    kind: Literal["drawn"] = "drawn"
    share: PositiveFloat = 1.0
    count: PositiveInt
    side_px: Annotated[int, Field(ge=16, le=8192)]
    seed: Seed


class TwinData(Quanta):
    """Specimens of the digital twin, whose process is asked for them."""

    kind: Literal["twin"] = "twin"
    share: PositiveFloat = 1.0
    specimens: Annotated[tuple[Specimen, ...], Field(min_length=1)]


class FilesData(Part):
    """Clean images, made worse by the two passes of `degradation`, or by a fast recording."""

    kind: Literal["files"] = "files"
    share: PositiveFloat = 1.0
    files: str
    """Pattern of paths, from the recipe's folder."""
    by: Literal["degradation", "recording"] = "degradation"
    bits: Annotated[int, Field(ge=8, le=16)] | None = None
    """Of grey values in files of 16 bit; None: as many as the brightest pixel of them all needs."""


class PairsData(Part):
    """Fast and slow images of the same fields, paired in the order of their names."""

    kind: Literal["pairs"] = "pairs"
    share: PositiveFloat = 1.0
    low: str
    high: str


class OverlapsData(Part):
    """The overlaps of a run, or of a folder of tiles: two noisy looks at the same place."""

    kind: Literal["overlaps"] = "overlaps"
    share: PositiveFloat = 1.0
    source: str


class NoisyData(Part):
    """Noisy images alone, with some of their pixels hidden."""

    kind: Literal["noisy"] = "noisy"
    share: PositiveFloat = 1.0
    files: str
    span_px: Literal[1, 3, 5, 7] = 1
    """Pixels of a line that are hidden together: as far as noise is alike along lines."""


Data = Annotated[
    DrawnData | TwinData | FilesData | PairsData | OverlapsData | NoisyData,
    Field(discriminator="kind"),
]


WithTruth = Annotated[DrawnData | TwinData | FilesData | PairsData, Field(discriminator="kind")]


class Recipe(Part):
    """A training, from its seed to its last step."""

    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    """Of the model that comes of it."""
    licence: str = "BSD-3-Clause"
    about: str = ""
    seed: Seed = 0
    steps: PositiveInt
    batch: PositiveInt = 4
    crop_px: PositiveInt = 128
    checkpoint_steps: PositiveInt = 200
    deterministic: bool = False
    start: str | None = None
    """Name or folder of a model to go on from, with the same network."""
    loss: Literal["l1", "l2", "likelihood"] = "l1"
    """`likelihood`: of a normal distribution whose variance is a second answer."""
    network: NetworkChoice
    optimiser: Optimiser = Optimiser()
    adversarial: Adversarial | None = None
    data: Annotated[tuple[Data, ...], Field(min_length=1)]
    held_out: tuple[WithTruth, ...] = ()
    held_out_images: PositiveInt = 8
    """Of each entry of `held_out`."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        spent = self.optimiser.warm_up_steps + self.optimiser.decay_steps
        if spent > self.steps:
            raise ValueError(f"steps: {self.steps} is below warm_up_steps + decay_steps = {spent}")
        if (self.loss == "likelihood") != (self.network.config.get("out_channels", 1) == 2):
            raise ValueError("loss: likelihood goes with network.config.out_channels = 2, and only with it")
        return self


def load_recipe(name: str) -> tuple[Recipe, Path]:
    """Read a recipe file, or one of those shipped by its name; and the folder from which its paths are meant.

    Paths of a shipped recipe are meant from where the user is.

    Raises:
        InputError: absent, no TOML, or keys and values that no recipe has, all of them.
    """
    path, folder = Path(name), Path(name).parent
    if not path.is_file():
        path, folder = SHIPPED / f"{name}.toml", Path()
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.toml")))
        raise InputError(f"recipe: {name!r} is neither a file nor one of {shipped}")
    try:
        with path.open("rb") as file:
            return Recipe.model_validate(tomllib.load(file)), folder
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        wrong = error.errors(include_url=False)
        said = [_said(each) for each in wrong if not (each["type"] == "too_short" and each["input"])]  # of bad entries
        raise InputError(f"{path}: {'; '.join(said)}") from error


def _said(error: Any) -> str:
    where = ".".join(str(step) for step in error["loc"])
    if error["type"] == "value_error":  # of the whole, which says itself what it is about
        return str(error["msg"]).removeprefix("Value error, ")
    return f"{where}: {error['msg']}" + ("" if error["type"] == "missing" else f", got {error['input']!r}")
