"""A folder of tiles: read as listed, or refused in one line that names the culprit."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from reconstruction.errors import InputError
from reconstruction.tile_folder import TileFolder

GREY = (np.arange(48 * 32) % 251).astype(np.uint8).reshape(32, 48)


def folder(path: Path, listing: str, name: str = "tiles.csv", tiles: tuple[str, ...] = ("a.png", "b.png")) -> Path:
    (path / name).write_text(listing)
    for number, tile in enumerate(tiles):
        cv2.imwrite(str(path / tile), np.roll(GREY, number, axis=0))
    return path


def test_reads_positions_in_pixels(tmp_path: Path) -> None:
    source = TileFolder(folder(tmp_path, "file,x_px,y_px\nb.png,0,0\na.png,40.5,-1\n"))
    assert [(t.index, t.name, t.x_px, t.y_px) for t in source.planned()] == [(0, "b.png", 0, 0), (1, "a.png", 40.5, -1)]
    assert source.tile_shape == (32, 48)
    assert source.dtype == np.uint8
    assert np.array_equal(source.pixels(source.planned()[1]), GREY)
    assert [tile for batch in source.follow() for tile in batch] == source.planned()


def test_reads_positions_in_micrometres(tmp_path: Path) -> None:
    source = TileFolder(folder(tmp_path, "file,x_um,y_um\na.png,0,0\nb.png,2,1\n"), pixel_size_um=0.05)
    assert (source.planned()[1].x_px, source.planned()[1].y_px) == pytest.approx((40, 20))


def test_reads_what_fiji_wrote(tmp_path: Path) -> None:
    listing = "# a remark\ndim = 2\n\na.png; ; (0.0, 0.0)\nb.png; ; (40.25,-3e0)\n"
    source = TileFolder(folder(tmp_path, listing, "TileConfiguration.txt"))
    assert [(t.x_px, t.y_px) for t in source.planned()] == [(0, 0), (40.25, -3)]


def test_takes_equal_colours_and_alpha_as_grey(tmp_path: Path) -> None:
    folder(tmp_path, "file,x_px,y_px\na.png,0,0\nb.png,9,0\nc.tif,18,0\n")
    one, other = np.flipud(GREY), np.fliplr(GREY)
    cv2.imwrite(str(tmp_path / "b.png"), np.dstack([one, one, one, np.full_like(GREY, 255)]))
    tifffile.imwrite(tmp_path / "c.tif", np.dstack([other] * 3), photometric="rgb")
    source = TileFolder(tmp_path)
    for tile, pixels in zip(source.planned(), (GREY, one, other), strict=True):
        assert np.array_equal(source.pixels(tile), pixels)


@pytest.mark.parametrize(
    ("listing", "name", "words"),
    [
        ("file,x,y\na.png,0,0\n", "tiles.csv", "line 1: header is 'file,x,y'"),
        ("file,x_px,y_px\n", "tiles.csv", "lists no tiles"),
        ("file,x_px,y_px\na.png,zero,0\n", "tiles.csv", "line 2: 'zero' is not a number"),
        ("file,x_px,y_px\na.png,nan,0\n", "tiles.csv", "line 2: 'nan' is not a finite"),
        ("file,x_px,y_px\na.png,0\n", "tiles.csv", "line 2: 2 columns"),
        ("file,x_px,y_px\na.png,0,0\na.png,9,0\n", "tiles.csv", "line 3: a.png is listed twice"),
        ("file,x_px,y_px\na.png,0,0\nz.png,9,0\n", "tiles.csv", "z.png: no such tile"),
        ("file,x_um,y_um\na.png,0,0\n", "tiles.csv", "need a pixel size"),
        ("dim = 3\na.png; ; (0, 0)\n", "TileConfiguration.txt", "line 1"),
        ("dim = 2\na.png; (0, 0)\n", "TileConfiguration.txt", "line 2"),
        ("dim = 2\na.png; ; (0, inf)\n", "TileConfiguration.txt", "line 2: 'inf'"),
        ("dim = 2\n", "TileConfiguration.txt", "lists no tiles"),
    ],
)
def test_refuses_a_bad_list(tmp_path: Path, listing: str, name: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        TileFolder(folder(tmp_path, listing, name))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tile", "words"),
    [
        (GREY[:, :40], "40 x 32 px"),
        (GREY.astype(np.uint16), "uint16"),
        (np.dstack([GREY, GREY, 255 - GREY]), "colour"),
    ],
)
def test_refuses_a_tile_unlike_the_others(tmp_path: Path, tile: np.ndarray, words: str) -> None:
    folder(tmp_path, "file,x_px,y_px\na.png,0,0\nb.png,9,0\n")
    cv2.imwrite(str(tmp_path / "b.png"), tile)
    with pytest.raises(InputError, match=r"b\.png") as caught:
        TileFolder(tmp_path)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["b.png", "b.tif"])
@pytest.mark.parametrize("content", [b"", b"not a picture"])
def test_refuses_an_unreadable_tile(tmp_path: Path, name: str, content: bytes) -> None:
    folder(tmp_path, f"file,x_px,y_px\na.png,0,0\n{name},9,0\n")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: not a readable"):
        TileFolder(tmp_path)


def test_refuses_an_absent_folder_an_empty_one_and_a_strange_pixel_size(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        TileFolder(tmp_path / "nowhere")
    with pytest.raises(InputError, match="neither"):
        TileFolder(tmp_path)
    with pytest.raises(InputError, match="not above 0"):
        TileFolder(tmp_path, pixel_size_um=-1.0)


def test_reads_a_packed_tiff(tmp_path: Path) -> None:
    tile = np.arange(40 * 30, dtype=np.uint16).reshape(40, 30)
    cv2.imwrite(str(tmp_path / "a.tif"), tile, [cv2.IMWRITE_TIFF_COMPRESSION, 5])  # LZW, OpenCV's own default
    (tmp_path / "tiles.csv").write_text("file,x_px,y_px\na.tif,0,0\n")
    source = TileFolder(tmp_path)
    assert np.array_equal(source.pixels(source.planned()[0]), tile)


@pytest.mark.parametrize("damage", [slice(0, -20), slice(0, 200)])
def test_a_damaged_png_is_refused_without_a_word_of_its_decoder(
    tmp_path: Path, damage: slice, capfd: pytest.CaptureFixture[str]
) -> None:
    tile = np.random.default_rng(0).integers(0, 255, (40, 30), dtype=np.uint8)
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", tile)[1].tobytes()[damage])
    (tmp_path / "tiles.csv").write_text("file,x_px,y_px\na.png,0,0\n")
    with pytest.raises(InputError, match=r"a\.png: not a readable image"):
        TileFolder(tmp_path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("line", "words"), [("a.png,1e300,0", "1e\\+300"), ("x" * 5000 + ".png,0,0", "5004 characters")]
)
def test_refuses_a_position_or_a_name_beyond_all_bounds(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "tiles.csv").write_text(f"file,x_px,y_px\n{line}\n")
    with pytest.raises(InputError, match=words):
        TileFolder(tmp_path)
