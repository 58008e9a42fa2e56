"""What networks are shown, and what they are asked for."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from reconstruction.errors import InputError
from reconstruction.normalisation import SIGMAS
from reconstruction.sources import FrameSource
from reconstruction.tile_folder import TileFolder
from reconstruction.training.blind_spot import hidden
from reconstruction.training.data import Outside, examples_of, opened
from reconstruction.training.degradation import PASSES, degraded, kernel
from reconstruction.training.examples import CleanImages, Mixture, NoisyImages, batch
from reconstruction.training.low_definition import Recording, record
from reconstruction.training.overlaps import overlaps
from reconstruction.training.recipe import Recipe, Specimen
from reconstruction.training.scenes import leaves

FAST = Recording(quanta=30, lag=0.0, read_noise=4, line_noise=0.0, blur_px=0.0, black=10, white=230)


def recipe_of(*data: dict[str, Any]) -> Recipe:
    network = {"name": "preview"}
    return Recipe.model_validate({"name": "x", "steps": 2000, "crop_px": 48, "network": network, "data": data})


def specimen(wanted: Specimen) -> NDArray[np.float32]:
    return leaves(100, np.random.default_rng(wanted.seed))


OUTSIDE = Outside(specimen, lambda path: TileFolder(path))


def test_hidden_pixels_tell_nothing_of_themselves() -> None:
    """Whatever the pixels asked for and their neighbours on the line hold, the network is shown the same there."""
    image = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    shown, asked = hidden(image, 5, np.random.default_rng(1))
    line = ndimage.maximum_filter1d(asked, 5, axis=1, mode="constant") > 0
    again, same = hidden(np.where(line, 99, image).astype(np.float32), 5, np.random.default_rng(1))
    assert np.array_equal(asked, same)
    alone = line & (ndimage.uniform_filter(asked, (7, 15), mode="constant") < 1.5 / 105)
    assert alone.sum() > 25  # what others are shown may lie on a line that is hidden
    assert np.array_equal(shown[alone], again[alone])
    assert 0.005 < asked.mean() < 0.011


def test_what_is_shown_instead_looks_like_the_rest() -> None:
    """Noise that is alike along lines stays so: a network cannot tell which pixels it is asked for."""
    white = np.random.default_rng(0).standard_normal((256, 256))
    image = ndimage.uniform_filter1d(white, 2, axis=1).astype(np.float32)
    shown, asked = hidden(image, 5, np.random.default_rng(1))
    y, x = np.nonzero(asked[:, 8:-8])
    there, beside = shown[y, x + 8], shown[y, x + 9]
    assert there.std() == pytest.approx(image.std(), rel=0.1)
    assert np.corrcoef(there, beside)[0, 1] == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("span_px", [1, 5])
def test_as_much_of_a_line_is_hidden_as_is_told(span_px: int) -> None:
    image = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    shown, asked = hidden(image, span_px, np.random.default_rng(1))
    changed = shown != image
    expected = ndimage.maximum_filter1d(asked, span_px, axis=1, mode="constant") > 0
    assert np.array_equal(changed, expected)


def test_degradation_is_made_by_its_seed_and_keeps_the_shape() -> None:
    clean = leaves(96, np.random.default_rng(0)) * np.float32(255)
    made = [degraded(clean, np.random.default_rng(seed)) for seed in (*range(20), 0)]
    assert all(image.shape == clean.shape and image.dtype == np.uint8 for image in made)
    assert np.array_equal(made[0], made[-1])
    assert len({image.tobytes() for image in made}) == 20


@pytest.mark.parametrize("ranges", PASSES)
def test_blur_kernels_keep_brightness(ranges: Any) -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        assert kernel(ranges, random).sum() == pytest.approx(1, abs=1e-5)


def test_noise_of_the_passes_is_no_stronger_than_the_paper_says() -> None:
    """On a ramp, which blur and resizing leave alone: 30 grey levels or 3 * 16 by Poisson, then 25 or 2.5 * 16."""
    random = np.random.default_rng(0)
    ramp = np.tile(np.linspace(0, 255, 128, dtype=np.float32), (64, 1))
    sigmas = [(degraded(ramp, random) - ramp)[:, 30:-30].std() for _ in range(100)]
    assert max(sigmas) < np.hypot(3.0 * 16, 2.5 * 16)
    assert np.median(sigmas) > 5


def tiles(folder: Path) -> tuple[FrameSource, NDArray[np.float32]]:
    """Two noisy tiles of one scene, 70.4 and 3.3 px apart; and the first without noise."""
    random = np.random.default_rng(5)
    scene = cv2.GaussianBlur(leaves(320, random), (0, 0), 1.0)
    cleans = []
    for name, (x, y) in {"a.png": (20.0, 20.0), "b.png": (90.4, 23.3)}.items():
        part = cv2.getRectSubPix(scene, (200, 200), (x + 99.5, y + 99.5))
        frame, clean = record(part, FAST, random)
        cv2.imwrite(str(folder / name), frame)
        cleans.append(clean)
    (folder / "tiles.csv").write_text("file,x_px,y_px\na.png,0,0\nb.png,72,2\n")
    return TileFolder(folder), cleans[0]


def test_overlaps_are_two_looks_at_the_same_place(tmp_path: Path) -> None:
    source, clean = tiles(tmp_path)
    first, second = overlaps(source, 100)
    assert first.first.shape == first.second.shape
    truth = clean[3 + 4 : 200 - 3, 70 + 4 : 200 - 3]
    there = truth[: first.first.shape[0], : first.first.shape[1]]
    noise, other = (look.astype(np.float32) - there for look in (first.first, first.second))
    # noise of 20 grey levels: independent, so that it does not correlate; the scene, of which 50 are left, would
    assert abs(np.corrcoef(noise.ravel(), other.ravel())[0, 1]) < 0.05
    assert second.first.shape == first.first.shape


def test_overlaps_too_narrow_to_cut_from_are_refused(tmp_path: Path) -> None:
    tiles(tmp_path)
    recipe = recipe_of({"kind": "overlaps", "source": str(tmp_path)})
    wide = recipe.model_copy(update={"crop_px": 150})
    with pytest.raises(InputError, match="no two tiles overlap by 150 px"):
        examples_of(wide, Path(), OUTSIDE)


def test_all_kinds_of_data_make_examples(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    tiles(tmp_path)
    low, high = record(cv2.GaussianBlur(leaves(160, random), (0, 0), 1.0), FAST, random)
    cv2.imwrite(str(tmp_path / "low.png"), low)
    cv2.imwrite(str(tmp_path / "high.png"), np.rint(high).astype(np.uint8))
    recipe = recipe_of(
        {"kind": "drawn", "count": 2, "side_px": 64, "seed": 1},
        {"kind": "twin", "quanta": 20, "specimens": [{"name": "alloy", "pixel_nm": 20, "seed": 1}]},
        {"kind": "files", "files": "high.png"},
        {"kind": "files", "files": "high.png", "by": "recording"},
        {"kind": "pairs", "low": "low.png", "high": "high.png"},
        {"kind": "overlaps", "source": "."},
        {"kind": "noisy", "files": "low.png", "span_px": 3},
    )
    mixture = examples_of(recipe, tmp_path, OUTSIDE)
    assert isinstance(mixture, Mixture)
    seen, target, counts = batch(mixture, 40, 48, np.random.default_rng(0))
    again = batch(mixture, 40, 48, np.random.default_rng(0))
    assert seen.shape == target.shape == counts.shape == (40, 1, 48, 48)
    assert all(np.isfinite(part).all() for part in (seen, target, counts))
    assert all(np.array_equal(*parts) for parts in zip((seen, target, counts), again, strict=True))


@pytest.mark.parametrize(("bits", "top"), [(None, 4095), (14, 16383), (16, 65535)])
def test_clean_images_of_a_camera_fill_the_range_that_their_bits_have(
    bits: int | None, top: int, tmp_path: Path
) -> None:
    """Twelve bits in a file of sixteen were taken for nearly black."""
    clean = np.rint(4000 * leaves(64, np.random.default_rng(0)) / leaves(64, np.random.default_rng(0)).max())
    cv2.imwrite(str(tmp_path / "clean.tif"), clean.astype(np.uint16))
    recipe = recipe_of({"kind": "files", "files": "clean.tif", "bits": bits})
    examples = opened(recipe.data[0], tmp_path, OUTSIDE, 48)
    assert isinstance(examples, CleanImages)
    truths = [examples.frame(64, np.random.default_rng(seed))[1] for seed in range(2)]
    assert max(truth.max() for truth in truths) == pytest.approx(255 * 4000 / top, rel=0.01)


def test_grey_values_beyond_the_bits_that_were_told_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "clean.tif"), np.full((64, 64), 5000, np.uint16))
    with pytest.raises(InputError, match="bits = 12, but a grey value is 5000, above 4095"):
        opened(recipe_of({"kind": "files", "files": "clean.tif", "bits": 12}).data[0], tmp_path, OUTSIDE, 48)


def test_noise_is_seen_with_the_strength_that_networks_expect() -> None:
    """Shot noise of a plain field, of 8 bits: unit noise is 1 / SIGMAS."""
    frame, _ = record(np.full((200, 200), 0.5, np.float32), FAST, np.random.default_rng(0))
    example = NoisyImages([frame], 1).example(128, np.random.default_rng(0))
    assert example.target.std() == pytest.approx(1 / SIGMAS, rel=0.1)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"kind": "files", "files": "none*.png"}, "no such files"),
        ({"kind": "twin", "specimens": [{"name": "alloy", "pixel_nm": 20, "seed": 1}]}, "smaller than crop_px = 148"),
    ],
)
def test_says_what_is_wrong_with_data(data: dict[str, Any], said: str, tmp_path: Path) -> None:
    recipe = recipe_of(data).model_copy(update={"crop_px": 148})
    with pytest.raises(InputError, match=said):
        examples_of(recipe, tmp_path, OUTSIDE)
