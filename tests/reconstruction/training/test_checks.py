"""What cannot be trained is refused before anything is done, all of it in one line."""

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hardware_sim.errors import UsageError
from hardware_sim.specimen import GENERATED, load_specimen
from reconstruction.errors import InputError
from reconstruction.training.checks import DRAWN_BY_THE_TWIN, MOST_DRAWN_NM, refuse_unfit
from reconstruction.training.recipe import SHIPPED, Recipe, load_recipe
from tests.reconstruction.models import model

DRAWN = {"kind": "drawn", "count": 1, "side_px": 64, "seed": 1}
TWIN = {"kind": "twin", "specimens": [{"name": "alloy", "pixel_nm": 80, "seed": 7}]}
RECIPE: dict[str, Any] = {
    "name": "tiny",
    "steps": 4,
    "crop_px": 64,
    "network": {"name": "preview", "config": {"width": 8, "levels": 2}},
    "optimiser": {"warm_up_steps": 1, "decay_steps": 1},
    "data": [DRAWN],
}


def refused(folder: Path, **changed: Any) -> str:
    """What is said of a recipe; nothing where it is taken."""
    try:
        refuse_unfit(Recipe.model_validate(RECIPE | changed), folder)
    except InputError as error:
        return str(error)
    return ""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("low_1.png", "low_2.png", "high_1.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((64, 64), np.uint8))
    model(tmp_path / "plain", "rrdb_u4")
    model(tmp_path / "stripes")
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"crop_px": 62, "data": [DRAWN]}, "crop_px: 62 is not a multiple of 4, which the network needs"),
        ({"network": {"name": "vgg"}}, "network: 'vgg' is not one of"),
        ({"network": {"name": "preview", "config": {"width": 0}}}, "width = 0 is not a whole number in 1..4096"),
        ({"network": {"name": "preview", "config": {"scale": 2}}}, "scale: 2, training knows images of equal size"),
        ({"crop_px": 128}, "data.0: side_px: 64 is smaller than crop_px = 128"),
        ({"data": [{"kind": "files", "files": "no*.png"}]}, "data.0: .*no.*png: no such files"),
        ({"data": [{"kind": "overlaps", "source": "night"}]}, "data.0: source: .*night: no such folder"),
        ({"data": [{"kind": "overlaps", "source": "low_1.png"}]}, "data.0: source: .*png: is a file, not a folder"),
        ({"data": [DRAWN | {"count": 10**12}]}, "data.0: count: 1000000000000 .* at most 2097152"),
        ({"data": [{"kind": "pairs", "low": "low_*", "high": "high_*"}]}, "2 and 1 files do not pair"),
        ({"held_out": [{"kind": "files", "files": "no*.png"}]}, "held_out.0: .*no such files"),
        (
            {"data": [{"kind": "noisy", "files": "low_*"}], "held_out": [{"kind": "files", "files": "low_2.png"}]},
            "held_out: .*low_2.png is also trained on",
        ),
        ({"held_out": [DRAWN | {"count": 9, "side_px": 96}]}, "held_out: drawn scenes of seed 1 is also trained on"),
        ({"data": [TWIN], "held_out": [TWIN]}, "held_out: twin alloy of 80 nm, seed 7 is also trained on"),
        (
            {"data": [{"kind": "overlaps", "source": "."}], "held_out": [{"kind": "files", "files": "low_2.png"}]},
            "held_out: .*low_2.png is also trained on",
        ),
        ({"start": "nowhere"}, "start: model: .*nowhere' is not one of"),
        ({"start": "plain"}, "start: plain is not the network of the recipe, preview"),
        ({"adversarial": {"features": "plain"}}, "adversarial.features: a .* has no encoder"),
        ({"crop_px": 36, "adversarial": {"features": "stripes"}}, "36 is not a multiple of 8, which the discriminator"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, changed: dict[str, Any], said: str) -> None:
    assert re.search(said, refused(folder, **changed))


def test_all_of_it_is_said_at_once(folder: Path) -> None:
    said = refused(folder, crop_px=63, start="nowhere", data=[{"kind": "noisy", "files": "no*.png"}])
    assert said.count("; ") == 2
    assert all(word in said for word in ("recipe tiny: ", "crop_px: 63", "start: ", "data.0: "))
    assert "\n" not in said


def test_paths_of_models_are_meant_from_the_recipe(folder: Path) -> None:
    """As all its other paths; a model at hand is found by its name."""
    whole = {"network": {"name": "preview", "config": {"width": 24}}}
    assert refused(folder, **whole, start="sem_denoise") == ""
    assert refused(folder, start="../" + folder.name + "/plain").startswith("recipe tiny: start: ../")
    assert refused(folder, start=str(folder / "plain")) != ""


def test_other_seeds_and_specimens_may_be_held_out(folder: Path) -> None:
    specimen = {"name": "alloy", "pixel_nm": 80, "seed": 8}
    held_out = [DRAWN | {"seed": 2}, {"kind": "twin", "specimens": [specimen]}]
    assert refused(folder, data=[DRAWN, TWIN], held_out=held_out) == ""


@pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED.glob("*.toml")))
def test_nothing_stands_against_shipped_recipes_but_what_they_go_on_from(name: str, tmp_path: Path) -> None:
    recipe, _ = load_recipe(name)
    refuse_unfit(recipe.model_copy(update={"start": None}), tmp_path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("seed = -1", "seed: Input should be greater than or equal to 0, got -1"),
        ("steps = -5", "steps: Input should be greater than 0, got -5"),
        ("loss = 'huber'", "loss: Input should be 'l1', 'l2' or 'likelihood', got 'huber'"),
        ("optimiser = { betas = [1.5, 0.9] }", "optimiser.betas.0: Input should be less than 1, got 1.5"),
        ("optimiser = { learning_rate = 1e30 }", "optimiser.learning_rate: Input should be less than or equal to 1"),
        ("[[data]]\nkind = 'drawn'\ncount = 1\nside_px = 64\nseed = 1\nmost_quanta = 2.0", "most_quanta: .*got 2.0"),
        ("[[data]]\nkind = 'drawn'\ncount = 1\nside_px = 64\nseed = -3", "seed: .*got -3"),
    ],
)
def test_values_that_no_training_can_have_are_refused_with_the_file(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "bad.toml").write_text(f"name = 'Bad name'\nnetwork = {{ name = 'preview' }}\n{line}\n")
    with pytest.raises(InputError, match=said) as refusal:
        load_recipe(str(tmp_path / "bad.toml"))
    assert "name: String should match pattern" in str(refusal.value)  # and all else that is wrong
    assert "at least 1 item" not in str(refusal.value)  # of a list that has one, though a bad one


def test_of_specimens_of_the_twin_all_is_said_at_once(folder: Path) -> None:
    ones = [{"name": "chop", "pixel_nm": 1e9, "seed": 1}, {"name": "alloy", "pixel_nm": 1600, "seed": 1}]
    said = refused(folder, data=[{"kind": "twin", "specimens": ones}])
    assert "data.0: specimens.0.name: 'chop' is neither chip nor alloy nor siemens nor blocks nor an image file" in said
    assert "data.0: specimens.0.pixel_nm: 1e+09 is outside 0.1..1e+06" in said
    assert "data.0: specimens.1.pixel_nm: 1600 is outside 0.1..1562.5" in said
    fit = [{"name": name, "pixel_nm": 1562.5, "seed": 1} for name in ("siemens:72", str(folder / "low_1.png"))]
    assert refused(folder, data=[{"kind": "twin", "specimens": fit}]) == ""


@pytest.mark.parametrize("name", DRAWN_BY_THE_TWIN)
def test_what_the_twin_draws_is_known(name: str) -> None:
    assert load_specimen(name, MOST_DRAWN_NM, 1).reflectance.shape == (64, 64)
    with pytest.raises(UsageError, match="is outside"):
        load_specimen(name, MOST_DRAWN_NM * 1.02, 1)


def test_the_twin_draws_nothing_else() -> None:
    assert tuple(GENERATED) == DRAWN_BY_THE_TWIN
