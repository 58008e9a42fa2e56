"""What there is to see and to feel: generated specimens, and images with their heights."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from hardware_sim.canvas import Box, Canvas
from hardware_sim.errors import UsageError
from hardware_sim.specimen import GENERATED, Specimen, load_specimen


@pytest.fixture(scope="module")
def chip() -> Specimen:
    return load_specimen("chip", 50.0, seed=1)


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_specimen_covers_the_scanner(name: str) -> None:
    specimen = load_specimen(name, 40.0, seed=2)
    assert specimen.reflectance.shape == (2500, 2500)
    assert specimen.reflectance.dtype == np.float32
    assert specimen.reflectance.min() >= 0
    assert specimen.reflectance.max() <= 1
    assert specimen.coarse_height_um.shape == (625, 625)
    assert specimen.coarse_height_um.max() > 0.01
    assert specimen.remark == ""


def test_the_seed_makes_the_specimen(chip: Specimen) -> None:
    assert np.array_equal(load_specimen("chip", 50.0, seed=1).reflectance, chip.reflectance)
    assert not np.array_equal(load_specimen("chip", 50.0, seed=2).reflectance, chip.reflectance)


@pytest.mark.parametrize("name", ["chip", "alloy"])
def test_no_field_of_ten_micrometres_is_blank_or_found_elsewhere(name: str) -> None:
    image = load_specimen(name, 50.0, seed=1).reflectance
    random = np.random.default_rng(0)
    for top, left in random.integers(0, 1800, (6, 2)):
        field = image[top : top + 200, left : left + 200]
        assert field.std() > 0.05
        match = cv2.matchTemplate(image, field, cv2.TM_CCOEFF_NORMED)
        assert np.unravel_index(match.argmax(), match.shape) == (top, left)
        match[max(top - 20, 0) : top + 21, max(left - 20, 0) : left + 21] = -1
        assert match.max() < 0.7


def test_metal_stands_proud(chip: Specimen) -> None:
    assert chip.coarse_height_um.max() == pytest.approx(0.3, abs=0.01)
    assert chip.coarse_height_um.min() == pytest.approx(0.0, abs=0.01)
    x_um, y_um = 4 * 0.05 * 31, 4 * 0.05 * 77
    assert chip.height_um(x_um, y_um) == pytest.approx(chip.coarse_height_um[77, 31])
    assert chip.height_um(-5.0, 500.0) == pytest.approx(chip.coarse_height_um[-1, 0])


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_an_image_is_stretched_from_its_darkest_to_its_brightest(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"ramp{suffix}"
    ramp = np.tile(np.linspace(50, 200, 64).astype(np.uint8), (48, 1))
    cv2.imwrite(str(path), ramp)
    specimen = load_specimen(str(path), 10.0, seed=0)
    assert specimen.pixel_um == pytest.approx(0.01)
    assert specimen.reflectance.shape == (48, 64)
    assert (specimen.reflectance.min(), specimen.reflectance.max()) == (0.0, 1.0)
    assert np.abs(specimen.reflectance - (ramp - 50) / 150.0).max() < 0.03  # JPEG is not exact


def test_sixteen_bits_and_colours_are_read(tmp_path: Path) -> None:
    deep, colour, flat = (str(tmp_path / name) for name in ("deep.tif", "colour.png", "flat.png"))
    cv2.imwrite(deep, np.arange(0, 64 * 64 * 10, 10, dtype=np.uint16).reshape(64, 64))
    cv2.imwrite(colour, np.dstack([np.eye(32, dtype=np.uint8) * 90] * 3))
    cv2.imwrite(flat, np.full((32, 32), 7, dtype=np.uint8))
    assert len(np.unique(load_specimen(deep, None, 0).reflectance)) == 4096
    assert np.array_equal(load_specimen(colour, None, 0).reflectance, np.eye(32))
    assert (load_specimen(flat, None, 0).reflectance == 0.5).all()


def test_an_edge_between_pixels_is_grey() -> None:
    canvas = Canvas((4, 4), 1.0, 0.0)
    canvas.rectangle(Box(0.75, 2.5, -0.5, 3.5), 1.0)
    assert canvas.grey == pytest.approx(np.tile([0.0, 0.75, 1.0, 0.0], (4, 1)))


def line_widths_nm(rows: np.ndarray, pixel_nm: float, between_nm: tuple[float, float]) -> list[float]:
    """Widths of the bright runs in rows of a chip, by the light in them over that of a line without end."""
    widths_nm = []
    for row in rows:
        steps = np.diff((row > 0.4).astype(np.int8), prepend=0, append=0)
        for start, end in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
            run = row[max(start - 5, 0) : end + 5]
            if between_nm[0] < (end - start) * pixel_nm < between_nm[1] and run.size == end - start + 10:
                dark = (run[:3].mean() + run[-3:].mean()) / 2
                bright = np.median(row[start + 3 : end - 3])
                widths_nm.append(float((run - dark).sum() / (bright - dark)) * pixel_nm)
    return widths_nm


def test_the_finest_lines_of_the_chip_are_73_nm_wide() -> None:
    chip = load_specimen("chip", 5.0, seed=3).reflectance
    rows = np.vstack([chip[::40], chip.T[::40]])
    finest_nm = line_widths_nm(rows, 5.0, (66.0, 79.0))
    assert len(finest_nm) > 300
    assert np.median(finest_nm) == pytest.approx(73.0, abs=1.0)  # grain of the material: some 5 nm a line
    assert len(line_widths_nm(rows, 5.0, (40.0, 66.0))) < 0.2 * len(finest_nm)  # dust, and lines that routes cut


def test_lamellae_of_the_alloy_are_spaced_as_in_the_cemi_paper() -> None:
    alloy = load_specimen("alloy", 50.0, seed=1).reflectance
    power = np.abs(np.fft.rfft2(alloy - alloy.mean())) ** 2
    frequency = np.hypot(np.fft.fftfreq(2000, 0.05)[:, None], np.fft.rfftfreq(2000, 0.05)[None, :])
    lamellae = power[(frequency > 1 / 0.9) & (frequency < 1 / 0.45)].sum()
    coarser = power[(frequency > 1 / 10) & (frequency < 1 / 0.9)].sum()
    assert lamellae > 3 * coarser  # the rest: tones of the grains, and their borders


def test_grains_of_the_alloy_differ_in_direction() -> None:
    alloy = load_specimen("alloy", 50.0, seed=1).reflectance
    across, down = np.gradient(alloy, axis=1), np.gradient(alloy, axis=0)
    # direction of the steepest slope in fields of 5 um, doubled, as a lamella has no sign
    starts = range(0, 2000, 100)
    fields = [(slice(row, row + 100), slice(column, column + 100)) for row in starts for column in starts]
    doubled = [np.arctan2(2 * (across[f] * down[f]).sum(), (across[f] ** 2 - down[f] ** 2).sum()) for f in fields]
    assert np.abs(np.exp(1j * np.array(doubled)).mean()) < 0.3  # no direction prevails in 400 fields of some 120 grains


def test_a_specimen_that_does_not_cover_the_travel_says_so() -> None:
    specimen = load_specimen("blocks", 10.0, seed=0)
    assert specimen.size_um == pytest.approx((60.0, 60.0))
    assert "--pixel-nm 10: blocks covers 60 x 60 um of the travel" in specimen.remark


def test_a_star_may_have_other_spokes_and_nothing_else_takes_a_number() -> None:
    dense, usual = (load_specimen(name, 200.0, 0).reflectance for name in ("siemens:72", "siemens"))
    assert not np.array_equal(dense, usual)
    for name, says in (("siemens:3", "12..720"), ("siemens:many", "12..720"), ("chip:36", "only siemens")):
        with pytest.raises(UsageError, match=says):
            load_specimen(name, 200.0, 0)


def test_what_is_unknown_is_answered_with_all_that_is_known() -> None:
    with pytest.raises(UsageError, match="'cheese' is neither chip nor alloy nor siemens nor blocks nor an image file"):
        load_specimen("cheese", None, 0)


def with_heights(folder: Path, heights: np.ndarray) -> str:
    image = folder / "relief.tif"
    cv2.imwrite(str(image), np.tile(np.arange(64, dtype=np.uint8), (48, 1)))
    cv2.imwrite(str(folder / "relief.height.png"), heights)
    return str(image)


def test_heights_beside_an_image_are_those_of_the_specimen(tmp_path: Path) -> None:
    levels = np.full((48, 64), 20_000, dtype=np.uint16)
    specimen = load_specimen(with_heights(tmp_path, levels), 20.0, 0)
    assert specimen.height_um(0.5, 0.5) == pytest.approx(2.0, rel=1e-5)  # a level is 0.1 nm


@pytest.mark.parametrize("heights", [np.zeros((48, 60), dtype=np.uint16), np.zeros((48, 64), dtype=np.uint8)])
def test_heights_that_do_not_fit_their_image_are_refused(tmp_path: Path, heights: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"relief\.height\.png has uint\d+ pixels \(48, 6\d\); heights are 16 bit"):
        load_specimen(with_heights(tmp_path, heights), 20.0, 0)


def test_without_heights_what_is_bright_stands_proud(tmp_path: Path) -> None:
    path = tmp_path / "half.png"
    cv2.imwrite(str(path), np.repeat(np.array([[0, 255]], dtype=np.uint8), 32, axis=1).repeat(48, axis=0))
    specimen = load_specimen(str(path), 20.0, 0)
    assert specimen.height_um(0.1, 0.5) == pytest.approx(0.0, abs=0.001)
    assert specimen.height_um(1.2, 0.5) == pytest.approx(0.3, abs=0.001)
