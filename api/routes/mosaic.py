"""The mosaic of a run, to be zoomed into while it grows and after."""

from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

import cv2
from fastapi import APIRouter, Header, HTTPException, Request, Response
from fastapi import Path as InPath

from api.display_range import as_shown, display_range
from api.existing_run import existing_run
from api.restorations import Restorations
from api.routes.service_of import ServiceOf
from reconstruction.mosaic_tiles import TILE_PX, layers, tile, version_of_tile

router = APIRouter(prefix="/runs/{name}/mosaic")

MOSAIC = "mosaic.zarr"
QUALITY = 85  # of 100; beyond that a JPEG of camera noise doubles in size
LAST = 2**31
MOST_KEPT = 512  # JPEGs of some 20 kB

Layer = Annotated[str, InPath(pattern=r"^[a-z]+(@[a-z0-9_-]+)?$", examples=["raw", "restored@nlm"])]
Number = Annotated[int, InPath(ge=0, le=LAST, examples=[0])]
JPEG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {}}, "description": "256 px each way, grey; black where nothing was taken."},
    304: {"description": "As `If-None-Match` has it already."},
    404: {"description": "No such run, layer or tile, or not drawn yet."},
}


@router.get("")
def get_mosaic(name: str, service: ServiceOf, request: Request) -> dict[str, Any]:
    """Its layers, and of each the levels from full resolution on: sizes, the place of the first pixel, both (y, x).

    `display_range` is what tiles show as black and white: grey values, the same from the run's first tile to its last.
    There are no layers before the first tile was placed. `restored_again` tells with which other models it was
    restored since, or is just being; their layers are `raw@MODEL` and `restored@MODEL`.
    """
    run = existing_run(service.folder, name)
    found = layers(run / MOSAIC)
    restorations: Restorations = request.app.state.restorations
    again = restorations.of(name)
    for each in again:
        of_model = layers(restorations.path(name, each["model"]) / MOSAIC)
        found |= {f"{layer}@{each['model']}": levels for layer, levels in of_model.items()}
    shown = display_range(run)
    return {"tile_px": TILE_PX, "display_range": shown, "layers": found, "restored_again": again}


@router.get("/{layer}/{level}/{row}/{col}.jpg", responses=JPEG, response_class=Response)
def get_mosaic_tile(
    name: str,
    layer: Layer,
    level: Number,
    row: Number,
    col: Number,
    service: ServiceOf,
    request: Request,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """One tile of one level; 404 until something was drawn there."""
    run = existing_run(service.folder, name)
    layer, _, model = layer.partition("@")
    mosaic = (request.app.state.restorations.path(name, model) if model else run) / MOSAIC
    version = version_of_tile(mosaic, layer, level, row, col)
    headers = {"ETag": f'"{version}"', "Cache-Control": "no-cache"}
    if version is not None and if_none_match == headers["ETag"]:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    shown = display_range(run)
    jpeg = None if version is None or shown is None else _jpeg(mosaic, layer, (level, row, col), version, shown)
    if jpeg is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "nothing was drawn there yet")
    return Response(jpeg, media_type="image/jpeg", headers=headers)


@lru_cache(MOST_KEPT)
def _jpeg(mosaic: Path, layer: str, place: tuple[int, int, int], version: str, shown: tuple[int, int]) -> bytes | None:
    """A tile as it is sent, made once for all who look; `version` tells it from what was there before."""
    pixels = tile(mosaic, layer, *place)
    if pixels is None:
        return None
    return cv2.imencode(".jpg", as_shown(pixels, *shown), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
