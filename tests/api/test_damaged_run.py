"""A file of a run that is damaged is named as it lies in the run, in one line of a problem."""

import os
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from tests.api.test_mosaic_tiles import client as client
from tests.api.test_mosaic_tiles import mosaic_of
from tests.api.test_mosaic_tiles import run as run
from tests.api.test_routes import refused

URL = "/api/v1/runs/a"


@pytest.fixture
def mosaic(run: Path) -> Path:
    mosaic_of(run, np.full((300, 300), 4000, np.uint16))
    return run / "mosaic.zarr"


@pytest.mark.parametrize(
    ("file", "size", "asked"),
    [
        ("OME/zarr.json", 0, "mosaic"),
        ("OME/zarr.json", 50, "mosaic"),
        ("raw/zarr.json", 50, "mosaic"),
        ("raw/0/zarr.json", 50, "mosaic"),
        ("raw/0/zarr.json", 50, "mosaic/raw/0/0/0.jpg"),
        ("raw/0/c/0/0", 5000, "mosaic/raw/0/0/0.jpg"),
        ("raw/0/c/0/0", 0, "mosaic/raw/0/0/0.jpg"),
    ],
)
def test_a_damaged_file_is_named(client: TestClient, mosaic: Path, file: str, size: int, asked: str) -> None:
    os.truncate(mosaic / file, size)
    for _ in range(2):  # nothing is remembered of it
        told = refused(client.get(f"{URL}/{asked}"), 503)["detail"]
        assert told == f"mosaic.zarr/{file}: damaged, it cannot be read"


@pytest.mark.parametrize("text", ["{}", "[]", '{"attributes": {"ome": {"series": 3}}}', "[" * 100_000])
def test_a_description_that_says_something_else_is_named(client: TestClient, mosaic: Path, text: str) -> None:
    (mosaic / "OME" / "zarr.json").write_text(text)
    refused(client.get(f"{URL}/mosaic"), 503, "mosaic.zarr/OME/zarr.json: damaged")


@pytest.mark.parametrize("size", [0, 20])
def test_damaged_raw_frames_are_named(client: TestClient, mosaic: Path, run: Path, size: int) -> None:
    os.truncate(run / "raw.zarr" / "zarr.json", size)
    for asked in ("mosaic", "mosaic/raw/0/0/0.jpg"):
        refused(client.get(f"{URL}/{asked}"), 503, "raw.zarr/zarr.json: damaged")
    for asked in ("", "/tiles"):
        told = refused(client.get(f"{URL}{asked}"), 500)["detail"]
        assert told == "a/raw.zarr/zarr.json: damaged, it cannot be read"
