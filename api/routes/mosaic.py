"""The mosaic of a run, to be zoomed into while it grows and after."""

import re
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Header, HTTPException, Request, Response
from fastapi import Path as InPath

from api.display_range import display_range
from api.drawn_tiles import DrawnTiles, Tile, black
from api.existing_run import existing_run
from api.restorations import Restorations
from api.routes.service_of import ServiceOf
from api.service import Service
from reconstruction.mosaic_tiles import BLOCK_TILES, TILE_PX, layers, version_of_tile, versions_of_blocks

router = APIRouter(prefix="/runs/{name}/mosaic")

MOSAIC = "mosaic.zarr"
LAST = 2**31
TAG = re.compile(r'"[^"]*"')

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
    `uncertainty`, where a model gives it, shows standard deviations: white where four of them span the display range.
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


@router.get("/{layer}/{level}")
def get_drawn_blocks(name: str, layer: Layer, level: Number, service: ServiceOf, request: Request) -> dict[str, Any]:
    """Which blocks of a level were drawn: `blocks` has a version of each, by `row/column`; it changes with its pixels.

    A block is `block_tiles` tiles wide and high. Whoever watches a mosaic grow asks for this, and then for the tiles of
    the blocks that have changed.
    """
    mosaic, layer = _mosaic_of(name, layer, service, request)
    return {"block_tiles": BLOCK_TILES, "blocks": versions_of_blocks(mosaic, layer, level)}


@router.get("/{layer}/{level}/{row}/{col}.jpg", responses=JPEG, response_class=Response)
async def get_mosaic_tile(
    name: str,
    layer: Layer,
    level: Number,
    row: Number,
    col: Number,
    service: ServiceOf,
    request: Request,
    if_none_match: Annotated[str | None, Header()] = None,
    blank: bool = False,
) -> Response:
    """One tile of one level; 404 until something was drawn there, or black with `blank`."""
    mosaic, layer = _mosaic_of(name, layer, service, request)
    version = version_of_tile(mosaic, layer, level, row, col)
    headers = {"ETag": f'"{version}"', "Cache-Control": "no-cache"}
    if version is not None and _has(if_none_match, headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    jpeg = None
    if version is not None:
        drawn: DrawnTiles = request.app.state.drawn_tiles
        jpeg = await drawn.get(Tile(service.folder.run(name), mosaic, layer, level, row, col, version))
    if jpeg is None:
        if not blank:
            raise HTTPException(HTTPStatus.NOT_FOUND, "nothing was drawn there yet")
        jpeg = black()
    return Response(jpeg, media_type="image/jpeg", headers=headers)


def _has(if_none_match: str | None, tag: str) -> bool:
    """Whether `If-None-Match` names a tag, weakly or among others, or any (RFC 9110, 13.1.2)."""
    return if_none_match is not None and (if_none_match.strip() == "*" or tag in TAG.findall(if_none_match))


def _mosaic_of(name: str, layer: str, service: Service, request: Request) -> tuple[Path, str]:
    """Where a layer lies, and what it is called there; `restored@nlm` beside the run."""
    run = existing_run(service.folder, name)
    layer, _, model = layer.partition("@")
    return (request.app.state.restorations.path(name, model) if model else run) / MOSAIC, layer
