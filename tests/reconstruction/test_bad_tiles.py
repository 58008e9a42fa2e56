"""A folder with a tile that cannot be used, or that lies under a wrong name: named, and the others as good as ever."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from reconstruction.errors import InputError
from reconstruction.report import write_report
from reconstruction.restore import restorer
from reconstruction.tile_folder import TileFolder
from reconstruction.worker import follow
from tests.reconstruction.scenes import Scan, errors_px, scan

BAD = "r1c1.tif"
GOOD_PX = 0.15  # what these scenes are placed to when nothing is wrong


@pytest.fixture(scope="module")
def scene() -> Scan:
    return scan("grains", 0.2, size=256, rows=3, columns=4, seed=5)


@pytest.fixture
def folder(scene: Scan, tmp_path: Path) -> Path:
    path = tmp_path / "tiles"
    path.mkdir()
    with (path / "tiles.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "x_px", "y_px"])
        for tile, frame in zip(scene.tiles, scene.frames, strict=True):
            rows.writerow([tile.name, tile.x_px, tile.y_px])
            tifffile.imwrite(path / tile.name, frame)
    return path


def garbage(path: Path) -> None:
    path.write_bytes(b"not a picture")


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20_000])


def black(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((256, 256), np.uint16))


def dark(path: Path) -> None:
    tifffile.imwrite(path, np.random.default_rng(1).poisson(50, (256, 256)).astype(np.uint16))


def copied(path: Path) -> None:
    path.write_bytes((path.parent / "r0c2.tif").read_bytes())


def small(path: Path) -> None:
    tifffile.imwrite(path, tifffile.imread(path)[:200])


def shallow(path: Path) -> None:
    tifffile.imwrite(path, (tifffile.imread(path) >> 8).astype(np.uint8))


def reconstructed(folder: Path) -> tuple[TileFolder, dict[str, dict[str, str]]]:
    """Reconstruct and read `positions.csv`."""
    source, out = TileFolder(folder), folder.parent / "out"
    made = follow(source, out, restorer("none"), lambda progress: None)
    write_report(out, made, source.pixels, {}, source.left_out)
    rows = list(csv.DictReader((out / "positions.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == [tile.name for tile in source.planned()]
    return source, {row["file"]: row for row in rows}


def worst_px(rows: dict[str, dict[str, str]], scene: Scan, without: set[str]) -> float:
    kept = [tile.index for tile in scene.tiles if tile.name not in without]
    names = [scene.tiles[index].name for index in kept]
    found = np.array([(float(rows[name]["x_px"]), float(rows[name]["y_px"])) for name in names])
    assert all(rows[name]["placed_by"] == "registration" for name in names)
    return float(errors_px(found, scene.truth_px[kept]).max())


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (Path.unlink, "no such tile"),
        (garbage, "not a readable image"),
        (cut_short, "not a readable image"),
        (black, "all pixels are 0"),
        (dark, "black: "),
        (copied, "the same picture as r0c2.tif"),
        (small, "256 x 200 px of uint16, but most are 256 x 256 px of uint16"),
        (shallow, "256 x 256 px of uint8, but most are"),
    ],
)
def test_a_bad_tile_is_named_and_left_out(
    folder: Path, scene: Scan, spoil: Callable[[Path], None], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    spoil(folder / BAD)
    source, rows = reconstructed(folder)
    assert len(source.remarks) == 1
    assert source.remarks[0].startswith(f"{folder / BAD}: ")
    assert words in source.remarks[0]
    assert source.remarks[0].endswith("; left out")
    assert rows[BAD]["placed_by"] == "stage"
    assert float(rows[BAD]["score"]) == 0
    assert (float(rows[BAD]["x_px"]), float(rows[BAD]["y_px"])) == (scene.tiles[5].x_px, scene.tiles[5].y_px)
    assert worst_px(rows, scene, {BAD}) < GOOD_PX
    assert capfd.readouterr().err == ""  # no decoder has its own word


@pytest.mark.parametrize("pair", [("r1c1.tif", "r1c2.tif"), ("r0c0.tif", "r2c2.tif")])
def test_exchanged_tiles_are_found_and_put_where_they_belong(folder: Path, scene: Scan, pair: tuple[str, str]) -> None:
    first, second = (folder / name for name in pair)
    frames = [tifffile.imread(path) for path in (first, second)]
    tifffile.imwrite(first, frames[1])
    tifffile.imwrite(second, frames[0])
    source, rows = reconstructed(folder)
    assert [remark.split(": ")[0] for remark in source.remarks] == [str(first), str(second)]
    rows[pair[0]], rows[pair[1]] = rows[pair[1]], rows[pair[0]]
    assert worst_px(rows, scene, set()) < GOOD_PX


def written(folder: Path, scene: Scan, order: Sequence[int]) -> None:
    """Write tiles and their list, each with the frame of another one."""
    folder.mkdir()
    rows = [f"{tile.name},{tile.x_px},{tile.y_px}\n" for tile in scene.tiles]
    (folder / "tiles.csv").write_text("file,x_px,y_px\n" + "".join(rows))
    for tile, shown in zip(scene.tiles, order, strict=True):
        tifffile.imwrite(folder / tile.name, scene.frames[shown])


@pytest.mark.parametrize(
    ("shape", "order"),
    [
        ((1, 4), [0, 2, 1, 3]),
        ((5, 1), [0, 3, 2, 1, 4]),
        ((4, 4), [0, 1, 2, 3, 7, 6, 5, 4, 8, 9, 10, 11, 15, 14, 13, 12]),  # a serpentine, taken for a raster
    ],
)
def test_wherever_tiles_are_exchanged_all_are_put_right(
    tmp_path: Path, shape: tuple[int, int], order: list[int]
) -> None:
    scene = scan("grains", 0.2, size=128, rows=shape[0], columns=shape[1], seed=4)
    written(tmp_path / "tiles", scene, order)
    source = TileFolder(tmp_path / "tiles")
    made = follow(source, tmp_path / "out", restorer("none"), lambda progress: None, live=False)
    found = np.array([(tile.x_px, tile.y_px) for tile in made.placement.tiles.values()])
    assert errors_px(found, scene.truth_px[order]).max() < 0.5
    exchanged = [scene.tiles[i].name for i, shown in enumerate(order) if i != shown]
    assert [Path(remark.split(": ")[0]).name for remark in source.remarks] == exchanged


def test_tiles_that_match_nobody_are_named(tmp_path: Path) -> None:
    scene = scan("grains", 0.2, size=128, rows=3, columns=4, seed=4)
    rng = np.random.default_rng(1)
    again = scene.frames[5] + rng.normal(0, 200, scene.tile_shape)  # the stage was stuck
    scene.frames[6] = np.clip(np.rint(again), 0, 65535).astype(np.uint16)
    scene.frames[0] = np.ascontiguousarray(scene.frames[0][::-1])
    written(tmp_path / "tiles", scene, range(12))
    source = TileFolder(tmp_path / "tiles")
    follow(source, tmp_path / "out", restorer("none"), lambda progress: None, live=False)
    names = [scene.tiles[index].name for index in (0, 6, 5)]
    assert source.remarks == [
        f"{tmp_path}/tiles/{names[0]}: matches none of its neighbours; drawn where the list says",
        f"{tmp_path}/tiles/{names[1]}: shows the same field as {names[2]}; drawn where the list says",
    ]
    scene.frames[:] = [np.rot90(frame).copy() for frame in scene.frames]
    written(tmp_path / "turned", scene, range(12))
    source = TileFolder(tmp_path / "turned")
    follow(source, tmp_path / "out2", restorer("none"), lambda progress: None, live=False)
    assert len(source.remarks) == 1
    assert "tiles match none of their neighbours" in source.remarks[0]


def test_a_tile_under_the_name_of_a_lost_one_goes_to_its_place(folder: Path, scene: Scan) -> None:
    (folder / "r1c1.tif").replace(folder / "r0c3.tif")
    source, rows = reconstructed(folder)
    assert len(source.remarks) == 2
    assert "r1c1.tif: no such tile; left out" in source.remarks[0]
    assert "r0c3.tif: shows what belongs at the place of r1c1.tif" in source.remarks[1]
    rows["r1c1.tif"] = rows["r0c3.tif"]
    assert worst_px(rows, scene, {"r0c3.tif"}) < GOOD_PX


def test_of_two_copies_the_one_listed_first_goes_to_where_both_belong(folder: Path, scene: Scan) -> None:
    (folder / "r0c1.tif").write_bytes((folder / "r1c2.tif").read_bytes())
    source, rows = reconstructed(folder)
    assert len(source.remarks) == 2
    assert "r1c2.tif: the same picture as r0c1.tif; left out" in source.remarks[0]
    assert "r0c1.tif: shows what belongs at the place of r1c2.tif" in source.remarks[1]
    rows["r1c2.tif"] = rows["r0c1.tif"]
    assert worst_px(rows, scene, {"r0c1.tif"}) < GOOD_PX


def test_a_field_without_specimen_is_neither_bad_nor_mislaid(tmp_path: Path) -> None:
    scene = scan("grains", 0.2, size=256, rows=3, columns=3, blank_corner=True)
    with (tmp_path / "tiles.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "x_px", "y_px"])
        for tile, frame in zip(scene.tiles, scene.frames, strict=True):
            rows.writerow([tile.name, tile.x_px, tile.y_px])
            cv2.imwrite(str(tmp_path / tile.name), frame)
    source = TileFolder(tmp_path)
    made = follow(source, tmp_path.parent / f"{tmp_path.name}_out", restorer("none"), lambda progress: None)
    assert source.remarks == []
    assert len(made.tiles) == 9


def test_a_folder_of_which_half_is_bad_is_refused(folder: Path) -> None:
    for name in ("r0c0.tif", "r0c1.tif", "r0c2.tif", "r0c3.tif", "r1c0.tif", "r1c1.tif"):
        garbage(folder / name)
    with pytest.raises(InputError, match=r"r0c0\.tif: not a readable image; 6 of 12 tiles cannot be used"):
        TileFolder(folder)


def test_a_tile_of_a_lattice_is_not_put_elsewhere(tmp_path: Path) -> None:
    claimed = [(192 * column, 192 * row) for row, column in np.ndindex(3, 4)]
    places = claimed + np.random.default_rng(1).normal(0, 3, (12, 2))
    rng = np.random.default_rng(1)
    angles = 0.1 + np.pi / 3 * np.arange(3)
    with (tmp_path / "tiles.csv").open("w", newline="") as file:
        file.write("file,x_px,y_px\n")
        for (row, column), nominal, place in zip(np.ndindex(3, 4), claimed, places - places[0], strict=True):
            y, x = np.mgrid[:256, :256] + place[::-1, None, None]
            waves = [np.cos(2 * np.pi / 28 * (x * np.cos(angle) + y * np.sin(angle))) for angle in angles]
            frame = 20000 + 20000 / 3 * np.sum(waves, axis=0) + rng.normal(0, 200, x.shape)
            tifffile.imwrite(tmp_path / f"r{row}c{column}.tif", np.rint(frame).astype(np.uint16))
            file.write(f"r{row}c{column}.tif,{nominal[0]},{nominal[1]}\n")
    source = TileFolder(tmp_path)
    follow(source, tmp_path / "out", restorer("none"), lambda progress: None, live=False)
    assert source.remarks == []
