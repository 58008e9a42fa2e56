"""The mosaic on disk: whole shards or none, odd sizes, layers of several scales on one grid."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tensorstore
import yaozarrs
import zarr
from numpy.typing import NDArray

from reconstruction.canvas import BLOCK_PX, Block, Canvas
from reconstruction.mosaic import Mosaic
from reconstruction.restore import NoRestorer
from reconstruction.whole_shard import read_chunk, write_shard
from reconstruction.worker import follow
from tests.reconstruction.scenes import scan
from tests.reconstruction.test_worker import ignore, levels, made

U16 = np.dtype(np.uint16)


def plain_pyramid(image: NDArray[Any]) -> list[NDArray[Any]]:
    """Halve as often as the longer side is above 256; an odd rim counts twice."""
    found = [image]
    while max(found[-1].shape) > 256:
        fine = found[-1]
        padded = np.pad(fine, ((0, fine.shape[0] % 2), (0, fine.shape[1] % 2)), mode="edge").astype(np.uint32)
        mean = (padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2] + 2) // 4
        found.append(mean.astype(image.dtype))
    return found


def draw(mosaic: Mosaic, image: NDArray[Any], dirty: list[Block] | None = None, layer: str = "raw") -> None:
    canvas = mosaic.canvas_of(layer)
    blocks = list(canvas.blocks()) if dirty is None else dirty
    with ThreadPoolExecutor(2) as pool:
        mosaic.pyramid([layer]).update(
            blocks, lambda block: image[canvas.box(block).within(canvas)], pool, 4, lambda: None
        )


@pytest.mark.parametrize(("shape", "dtype"), [((2051, 3333), np.uint16), ((1025, 1023), np.uint8), ((5, 1200), "u2")])
def test_every_level_of_odd_sizes_is_that_of_a_plain_pyramid(
    tmp_path: Path, shape: tuple[int, int], dtype: Any
) -> None:
    image = np.random.default_rng(1).integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    mosaic = Mosaic.create(tmp_path / "m", Canvas(-3, 7, shape[1], shape[0]), image.dtype, None, {"raw": 1}, {})
    draw(mosaic, image)
    for found, expected in zip(levels(tmp_path / "m", "raw"), plain_pyramid(image), strict=True):
        assert np.array_equal(found, expected)
    image[1000:, :900] = 7  # now a part of it again, and what lies above is put together from old and new
    draw(mosaic, image, [block for block in mosaic.canvas.blocks() if block[1] == 0])
    for found, expected in zip(levels(tmp_path / "m", "raw"), plain_pyramid(image), strict=True):
        assert np.array_equal(found, expected)


def test_a_chunk_is_read_past_all_that_zarr_knows_and_never_waited_for_unasked(tmp_path: Path) -> None:
    image = np.random.default_rng(1).integers(1, 2**16, (700, 1024), np.uint16)
    path = tmp_path / "c" / "0" / "0"
    write_shard(path, image)
    for row, column in ((0, 0), (1, 3), (2, 2)):
        wanted = np.zeros((256, 256), np.uint16)
        part = image[256 * row : 256 * (row + 1), 256 * column : 256 * (column + 1)]
        wanted[: part.shape[0]] = part
        np.testing.assert_array_equal(read_chunk(path, image.dtype, row, column), wanted)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with suppress(BlockingIOError):  # where the file lies in memory anyway, it is read
        np.testing.assert_array_equal(read_chunk(path, image.dtype, 1, 3, may_wait=False), image[256:512, 768:])
    with pytest.raises(ValueError, match="not a whole shard"):
        read_chunk(path, np.dtype("uint8"), 0, 0)
    with pytest.raises(FileNotFoundError):
        read_chunk(path.with_name("1"), image.dtype, 0, 0)


def test_readers_see_whole_shards_or_none_while_they_are_replaced(tmp_path: Path) -> None:
    Mosaic.create(tmp_path / "m", Canvas(0, 0, BLOCK_PX, BLOCK_PX), U16, None, {"raw": 1, "restored": 1}, {})
    shards = [tmp_path / "m" / layer / "0" / "c" / "0" / "0" for layer in ("raw", "restored")]
    done = threading.Event()

    def rewrite() -> None:
        for value in range(1, 120):
            write_shard(shards[0], np.full((BLOCK_PX, BLOCK_PX), value, np.uint16), shards[1:])
        done.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    seen = set()
    while not done.is_set():
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(tmp_path / "m" / "restored" / "0")}}
        for part in (zarr.open_array(tmp_path / "m" / "raw" / "0", mode="r"), tensorstore.open(spec).result()):
            chunk = np.asarray(
                part[512:768, 256:512] if isinstance(part, zarr.Array) else part[:256, :256].read().result()
            )
            assert chunk.min() == chunk.max()
            seen.add(int(chunk[0, 0]))
    writer.join()
    assert len(seen) > 2
    assert [path.name for path in shards[0].parent.iterdir()] == ["0"]


def test_layers_that_show_the_same_share_their_files(tmp_path: Path) -> None:
    result = made(scan("grains", 0.2, size=128, rows=2, columns=2), tmp_path)
    raw, restored = (result.mosaic_path / layer / "0" / "c" / "0" / "0" for layer in ("raw", "restored"))
    assert raw.samefile(restored)


class Doubled(NoRestorer):
    """Gives each pixel as four."""

    name = "doubled"
    scale = 2

    def restore(self, frame: NDArray[Any]) -> NDArray[Any]:
        size = 2 * frame.shape[1], 2 * frame.shape[0]
        return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_NEAREST))


def test_a_layer_of_twice_the_pixels_lies_on_the_same_grid(tmp_path: Path) -> None:
    scene = scan("natural", 0.2, size=256, rows=2, columns=3, electrons=1e5)
    scene.pixel_size_um = 0.04
    result = follow(scene, tmp_path, Doubled(), ignore)
    yaozarrs.validate_zarr_store(result.mosaic_path / "restored")
    raw, restored = (levels(result.mosaic_path, layer)[0].astype(np.float64) for layer in ("raw", "restored"))
    assert restored.shape == (2 * raw.shape[0], 2 * raw.shape[1])
    mean = (restored[::2, ::2] + restored[1::2, ::2] + restored[::2, 1::2] + restored[1::2, 1::2]) / 4
    inside = (slice(60, -60), slice(60, -60))
    (dx, dy), _ = cv2.phaseCorrelate(raw[inside], mean[inside])
    assert np.hypot(dx, dy) < 0.02
    assert np.abs(raw - mean)[inside].mean() < 0.01 * raw.max()
    for layer, size in (("raw", 0.04), ("restored", 0.02)):
        attributes: Any = zarr.open_group(result.mosaic_path / layer, mode="r").attrs["ome"]
        scale, place = attributes["multiscales"][0]["datasets"][0]["coordinateTransformations"]
        assert scale["scale"] == pytest.approx([size, size])
        outer_um = np.array(place["translation"]) - size / 2  # of the first pixel's outer corner
        assert outer_um == pytest.approx((np.array([result.canvas.y_px, result.canvas.x_px]) - 0.5) * 0.04)


def test_the_mosaic_says_what_was_done_to_its_pixels(tmp_path: Path) -> None:
    result = made(scan("grains", 0.2, size=128, rows=1, columns=2), tmp_path)
    attributes: Any = zarr.open_group(result.mosaic_path / "raw", mode="r").attrs["nanoraster"]
    assert attributes["fusion"] == {"blend": "bands", "flat_field": True, "exposure": True, "sub_pixel": True}
