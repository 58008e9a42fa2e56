"""The mosaic over HTTP: the pixels that are on the disk, shown alike from the first tile to the last."""

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zarr
from fastapi.testclient import TestClient
from numpy.typing import NDArray

from acquisition.journal import Attempt, utc_now
from acquisition.plan import Plan
from acquisition.run_store import RunStore
from api import drawn_tiles
from api.app import create_app
from api.data_folder import DataFolder
from api.scan import field_of
from api.service import Service
from devices.rig import RigSettings
from reconstruction.canvas import Canvas
from reconstruction.mosaic import Mosaic
from tests.api.service_bench import PlayedWork, plan, rig_file
from tests.api.test_routes import refused

URL = "/api/v1/runs/a/mosaic"
LOW, HIGH = 2000, 6000  # of the first frame
BLACK, WHITE = 1131, 6352  # a quarter to spare on each side of the rows that are looked at, 0 to 20 of 24
JPEG_OFF = 6  # grey values by which noise may come out differently


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    service = Service(DataFolder(tmp_path), rig_file(tmp_path), work=PlayedWork().work)
    with TestClient(create_app(service)) as connected:
        yield connected


@pytest.fixture
def run(client: TestClient, tmp_path: Path) -> Path:
    """A run of one frame, and no mosaic yet."""
    settings = RigSettings.load(tmp_path / "rig.toml")
    wanted = Plan.model_validate(plan())
    path = tmp_path / "runs" / "a"
    with closing(RunStore.create(path, wanted, field_of(wanted, settings), {})) as store:
        rows, columns = store.field.shape_px
        frame = np.linspace(LOW, HIGH, rows * columns).reshape(rows, columns).astype(np.uint16)
        store.record(Attempt(0, 1, 0, 0, utc_now(), 20.0, 30.0, None, 0.02, verdict="ok"), frame)
    return path


def mosaic_of(run: Path, image: NDArray[np.uint16], blocks: list[tuple[int, int]] | None = None) -> Mosaic:
    canvas = Canvas(-10, 20, image.shape[1], image.shape[0])
    mosaic = Mosaic.create(run / "mosaic.zarr", canvas, image.dtype, 0.1, {"raw": 1, "restored": 1}, {})
    with ThreadPoolExecutor(1) as pool:
        wanted = list(canvas.blocks()) if blocks is None else blocks
        draw: Any = lambda block: image[canvas.box(block).within(canvas)]  # noqa: E731
        mosaic.pyramid(["raw", "restored"]).update(wanted, draw, pool, 4, lambda: None)
    return mosaic


def picture(answer: Any) -> NDArray[np.int64]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "image/jpeg"
    decoded = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded.shape == (256, 256)
    return decoded.astype(np.int64)


def smooth(shape: tuple[int, int]) -> NDArray[np.uint16]:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (4000 + 1500 * np.sin(x / 40) * np.cos(y / 60)).astype(np.uint16)


def expected(image: NDArray[np.uint16]) -> NDArray[np.float64]:
    return (image.astype(float) - BLACK) / (WHITE - BLACK) * 255


def test_tiles_show_the_pixels_of_the_mosaic_at_every_level(client: TestClient, run: Path) -> None:
    image = smooth((1100, 1300))
    mosaic_of(run, image)
    told = client.get(URL).json()
    assert (told["tile_px"], told["display_range"]) == (256, [BLACK, WHITE])
    assert told["layers"].keys() == {"raw", "restored"}
    full, half, *_ = told["layers"]["raw"]
    assert (full["shape_px"], full["pixel_size_um"], half["shape_px"]) == ([1100, 1300], 0.1, [550, 650])
    assert full["origin_um"] == pytest.approx([2.0, -1.0])
    shown = picture(client.get(f"{URL}/raw/0/2/3.jpg"))
    assert np.abs(shown - expected(image[512:768, 768:1024])).max() < JPEG_OFF
    halved = image[: 2 * 256, : 2 * 256].reshape(256, 2, 256, 2).mean(axis=(1, 3))
    assert np.abs(picture(client.get(f"{URL}/restored/1/0/0.jpg")) - expected(halved)).max() < JPEG_OFF
    rim = picture(client.get(f"{URL}/raw/0/4/5.jpg"))
    assert np.abs(rim[:70, :14] - expected(image[1024:, 1280:])[:70, :14]).max() < 3 * JPEG_OFF  # it rings at the rim
    assert rim[96:, 32:].max() == 0


def test_tiles_are_shown_of_a_mosaic_that_was_packed_by_another_program(client: TestClient, run: Path) -> None:
    image = smooth((600, 700))
    mosaic_of(run, image)
    level = run / "mosaic.zarr" / "raw" / "0"
    shutil.rmtree(level)
    packed = zarr.create_array(level, shape=image.shape, dtype=image.dtype, chunks=(256, 256), shards=(1024, 1024))
    packed[:] = image
    shown = picture(client.get(f"{URL}/raw/0/2/1.jpg"))
    assert np.abs(shown[:80, :] - expected(image[512:, 256:512])[:80, :]).max() < 3 * JPEG_OFF
    assert shown[96:].max() == 0


def test_fifty_who_ask_for_a_tile_at_once_have_it_drawn_once(
    client: TestClient, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mosaic_of(run, smooth((600, 700)))
    draws: list[object] = []
    draw = drawn_tiles._drawn

    def slowly(*wanted: Any, **how: Any) -> bytes:
        drawn = draw(*wanted, **how)  # or there is nothing in memory
        draws.append(wanted)
        time.sleep(0.05)
        return drawn

    monkeypatch.setattr(drawn_tiles, "_drawn", slowly)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: client.get(f"{URL}/raw/0/1/1.jpg"), range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == len(draws) == 1


def test_what_was_not_drawn_yet_is_not_found(client: TestClient, run: Path) -> None:
    assert client.get(URL).json()["layers"] == {}
    refused(client.get(f"{URL}/raw/0/0/0.jpg"), 404)
    image = smooth((2048, 1024))
    image[:256, 256:512] = 0  # within the block that is drawn, no tile of the scan lies there
    mosaic_of(run, image, [(0, 0)])
    assert client.get(f"{URL}/raw/0/0/0.jpg").status_code == 200
    for where in ("raw/0/0/1", "raw/0/4/0", "raw/0/0/4", "raw/0/99/99", "raw/9/0/0", "absent/0/0/0"):
        refused(client.get(f"{URL}/{where}.jpg"), 404)
    mosaic_of(run, image, [(1, 0)])
    assert client.get(f"{URL}/raw/0/4/0.jpg").status_code == 200


def test_the_display_range_stays_and_a_larger_mosaic_takes_the_place_of_a_smaller(
    client: TestClient, run: Path
) -> None:
    image = smooth((1024, 1024))
    mosaic_of(run, image)
    first = client.get(f"{URL}/raw/0/1/1.jpg")
    known = {"If-None-Match": first.headers["ETag"]}
    tag = known["If-None-Match"]
    for names in (tag, f"W/{tag}", f'"another", W/{tag}', "*"):
        assert client.get(f"{URL}/raw/0/1/1.jpg", headers={"If-None-Match": names}).status_code == 304, names
    assert client.get(f"{URL}/raw/0/1/1.jpg", headers={"If-None-Match": 'W/"another"'}).status_code == 200
    larger = np.full((2048, 2048), 60000, np.uint16)
    larger[:1024, :1024] = image
    mosaic_of(run, larger)
    assert np.array_equal(picture(client.get(f"{URL}/raw/0/1/1.jpg", headers=known)), picture(first))
    assert picture(client.get(f"{URL}/raw/0/5/5.jpg")).min() == 255


@pytest.mark.parametrize(
    ("where", "status"),
    [
        ("raw/0/0/-1", 422),
        ("raw/-1/0/0", 422),
        ("raw/0/x/0", 422),
        ("raw/0/0/99999999999999999999", 422),
        ("%2e%2e/0/0/0", 422),
        ("raw%2f..%2f..%2fraw.zarr/0/0/0", 404),
        ("RAW/0/0/0", 422),
        ("OME/0/0/0", 422),
    ],
)
def test_a_tile_that_cannot_be_is_refused(client: TestClient, run: Path, where: str, status: int) -> None:
    refused(client.get(f"{URL}/{where}.jpg"), status)
    refused(client.get("/api/v1/runs/absent/mosaic"), 404)


def test_which_blocks_were_drawn_and_which_were_drawn_anew(client: TestClient, run: Path) -> None:
    assert client.get(f"{URL}/raw/0").json() == {"block_tiles": 4, "blocks": {}}
    image = smooth((1100, 1300))
    mosaic_of(run, image, [(0, 0), (1, 1)])
    before = client.get(f"{URL}/raw/0").json()["blocks"]
    assert before.keys() == {"0/0", "1/1"}
    mosaic_of(run, image, [(1, 1), (1, 0)])
    after = client.get(f"{URL}/raw/0").json()["blocks"]
    assert after.keys() == {"0/0", "1/1", "1/0"}
    assert (after["0/0"] == before["0/0"], after["1/1"] == before["1/1"]) == (True, False)
    refused(client.get(f"{URL}/RAW/0"), 422)


def test_a_tile_that_is_not_there_is_black_for_whoever_says_so(client: TestClient, run: Path) -> None:
    refused(client.get(f"{URL}/raw/0/0/0.jpg"), 404)
    assert not picture(client.get(f"{URL}/raw/0/0/0.jpg?blank=true")).any()
