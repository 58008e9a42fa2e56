"""Images of FEI microscopes: scale and dwell are read, the data bar is cut off."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tifffile

from reconstruction.errors import InputError
from reconstruction.fei_tiff import is_fei, read_fei
from tests.reconstruction.scenes import DATA

REAL = DATA / "sem_noise_pairs"
FEI_HELIOS = 34682
FACTS = """[Scan]
PixelWidth=5e-09
PixelHeight=6e-09
Dwelltime=2e-07
[EScan]
LineIntegration=4
[Image]
ResolutionX=24
ResolutionY=20
[Stage]
StageX=-0.00025
StageY=0.001
"""


def written(path: Path, facts: str | None = FACTS) -> np.ndarray:
    """An image of 20 rows above a bar of 5."""
    pixels = np.arange(25 * 24, dtype=np.uint16).reshape(25, 24)
    tags = [] if facts is None else [(FEI_HELIOS, "s", 0, facts.replace("\n", "\r\n"), True)]
    tifffile.imwrite(path, pixels, extratags=tags)
    return pixels


def test_reads_scale_dwell_and_stage_and_cuts_the_bar_off(tmp_path: Path) -> None:
    pixels = written(tmp_path / "a.tif")
    image = read_fei(tmp_path / "a.tif")
    assert np.array_equal(image.pixels, pixels[:20])
    assert image.pixel_size_um == pytest.approx((0.005, 0.006))
    assert (image.dwell_s, image.line_integration) == (2e-7, 4)
    assert image.time_per_pixel_s == pytest.approx(8e-7)
    assert image.stage_um == pytest.approx((-250.0, 1000.0))


def test_cuts_a_coloured_frame_off_and_refuses_colour_inside(tmp_path: Path) -> None:
    pixels = np.repeat(np.arange(25 * 24, dtype=np.uint8).reshape(25, 24, 1), 3, axis=2)
    pixels[[0, 19]] = pixels[:20, [0, -1]] = (0, 255, 0)
    tags = [(FEI_HELIOS, "s", 0, FACTS, True)]
    tifffile.imwrite(tmp_path / "framed.tif", pixels, photometric="rgb", extratags=tags)
    assert np.array_equal(read_fei(tmp_path / "framed.tif").pixels, pixels[1:19, 1:-1, 0])
    pixels[10, 10] = (9, 0, 0)
    tifffile.imwrite(tmp_path / "spot.tif", pixels, photometric="rgb", extratags=tags)
    with pytest.raises(InputError, match="1 coloured pixels"):
        read_fei(tmp_path / "spot.tif")


def test_tells_such_files_from_others(tmp_path: Path) -> None:
    written(tmp_path / "fei.tif")
    written(tmp_path / "other.tif", facts=None)
    (tmp_path / "text.tif").write_text("no image")
    assert is_fei(tmp_path / "fei.tif")
    assert not any(is_fei(tmp_path / name) for name in ("other.tif", "text.tif", "none.tif"))
    with pytest.raises(InputError, match="no FEI metadata"):
        read_fei(tmp_path / "other.tif")


@pytest.mark.parametrize(
    ("said", "instead", "refused"),
    [
        ("ResolutionY=20", "ResolutionY=26", "say 24 x 26 px, the file holds 24 x 25"),
        ("PixelWidth=5e-09", "PixelWidth=0", "Scan.PixelWidth"),
        ("PixelHeight=6e-09", "PixelHeight=nan", "Scan.PixelHeight = nan"),
        ("PixelHeight=6e-09", "PixelHeight=wide", "Scan.PixelHeight = None"),
        ("Dwelltime=2e-07", "Dwelltime=0", "Scan.Dwelltime = 0"),
        ("Dwelltime=2e-07", "Dwelltime=-2e-07", "Scan.Dwelltime = -2e-07"),
        ("Dwelltime=2e-07", "Dwelltime=nan", "Scan.Dwelltime = nan"),
        ("LineIntegration=4", "LineIntegration=1e400", "EScan.LineIntegration = inf"),
        ("LineIntegration=4", "LineIntegration=-4", "EScan.LineIntegration = -4"),
        ("ResolutionX=24", "", "Image.ResolutionX"),
        ("ResolutionY=20", "ResolutionY=19.5", "Image.ResolutionY = 19.5"),
        ("ResolutionY=20", "ResolutionY=1e400", "Image.ResolutionY = inf"),
    ],
)
def test_refuses_metadata_that_do_not_fit(tmp_path: Path, said: str, instead: str, refused: str) -> None:
    written(tmp_path / "a.tif", FACTS.replace(said, instead))
    with pytest.raises(InputError, match=refused):
        read_fei(tmp_path / "a.tif")


@pytest.mark.skipif(not REAL.is_dir(), reason="no folder of real recordings")
def test_reads_what_a_helios_wrote() -> None:
    fast, slow, lines = (read_fei(REAL / f"{name}_003.tif") for name in ("100ns", "30us", "Line_50x"))
    assert fast.pixels.shape == slow.pixels.shape == (439, 509)  # green around 512 x 442, then a black row and column
    assert fast.pixel_size_um == pytest.approx((5.828e-3, 5.828e-3), rel=1e-4)  # of its read-me
    assert [image.time_per_pixel_s for image in (fast, slow, lines)] == pytest.approx([1e-7, 30e-6, 5e-6])


@pytest.mark.filterwarnings("ignore")
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Bytes of the head at random: the library stumbles in many ways, over sizes without end among them."""
    caplog.set_level("CRITICAL", "tifffile")
    written(tmp_path / "a.tif")
    whole, random = (tmp_path / "a.tif").read_bytes(), np.random.default_rng(1)
    for _ in range(150):
        damaged = bytearray(whole)
        for at in random.integers(4, 300, 4):
            damaged[at] = random.integers(256)
        (tmp_path / "b.tif").write_bytes(damaged)
        with suppress(InputError):  # and nothing else
            read_fei(tmp_path / "b.tif")


def test_what_the_file_does_not_say_is_none(tmp_path: Path) -> None:
    facts = FACTS.replace("Dwelltime=2e-07\n", "").replace("LineIntegration=4\n", "").replace("-0.00025", "nan")
    written(tmp_path / "a.tif", facts)
    image = read_fei(tmp_path / "a.tif")
    assert (image.dwell_s, image.line_integration, image.time_per_pixel_s, image.stage_um) == (None, 1, None, None)
