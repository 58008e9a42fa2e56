"""The mosaic against the world that was photographed: only the twin can tell."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import zarr
from numpy.typing import NDArray

from acquisition.run_store import RunStore
from api.twin import World
from reconstruction.worker import Reconstruction


def compare(world_url: str, store: RunStore, made: Reconstruction, run: Path) -> dict[str, Any]:
    """`truth` and `faults` of `summary.json`; no truth about a run without frames.

    Positions are compared tile by tile with where the scanner really was at mid-exposure, the translation common to
    all of them (`offset_px`) taken out; the mosaic with the specimen, after the best gain and offset. Both in the
    camera's frame, as the run knows it: what it gets wrong about scale and rotation counts as error.
    """
    world = World(world_url)
    if not any(attempt.frame is not None for _, attempt in store.journal.attempts()):
        return {"faults": world.faults()}
    worlds = {str(event.data.get("options")) for event in store.journal.events(kind="worker_started")}
    if len(worlds) > 1:
        return {"remark": "no truth: the run spans several worlds, each of which knows a part of its exposures"}
    error_px = _position_errors_px(world, store, made)
    offset_px = error_px.mean(axis=0)
    distance_px = np.hypot(*(error_px - offset_px).T)
    specimen, specimen_pixel_um = world.specimen()
    turn = store.field_as_measured().turn
    return {
        "truth": {
            "position_error_px_rms": float(np.sqrt(np.mean(distance_px**2))),
            "position_error_px_max": float(distance_px.max()),
            "offset_px": [float(value) for value in offset_px],
            "psnr_raw_db": _psnr_db(run, "raw", specimen, specimen_pixel_um, turn),
            "psnr_restored_db": _psnr_db(run, "restored", specimen, specimen_pixel_um, turn),
        },
        "faults": world.faults(),
    }


def _position_errors_px(world: World, store: RunStore, made: Reconstruction) -> NDArray[np.float64]:
    """Placed minus true, (tiles, 2) as x, y, of every tile that was taken."""
    true_um = {int(exposure["number"]): (exposure["x_um"], exposure["y_um"]) for exposure in world.exposures()}
    rows, columns = store.field.shape_px
    field = store.field_as_measured()
    errors = []
    for tile, number in _accepted(store).items():
        placed = made.placement.tiles[tile]
        centre_px = np.array([placed.x_px + (columns - 1) / 2, placed.y_px + (rows - 1) / 2])
        errors.append(centre_px - field.to_px(true_um[number]))
    return np.array(errors)


def _accepted(store: RunStore) -> dict[int, int]:
    """The camera's number of the frame that counts, of every tile that was taken."""
    found = {attempt.tile: attempt for _, attempt in store.journal.attempts() if attempt.frame is not None}
    return {tile: attempt.camera_frame for tile, attempt in found.items() if attempt.camera_frame is not None}


def _psnr_db(
    run: Path, layer: str, specimen: NDArray[np.float32], specimen_pixel_um: float, turn: NDArray[np.float64]
) -> float:
    """Peak signal to noise of a layer against the specimen at the layer's own coordinates, in decibel.

    `turn` (2, 2) leads from the camera's axes to the stage's.
    """
    group = zarr.open_group(run / "mosaic.zarr" / layer, mode="r")
    image = np.asarray(zarr.open_array(run / "mosaic.zarr" / layer / "0", mode="r")[:], dtype=np.float32)
    ome: Any = group.attrs["ome"]
    scale, translation = ome["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    (scale_um, _), (top_um, left_um) = scale["scale"], translation["translation"]
    into_specimen = turn @ np.array([[scale_um, 0, left_um], [0, scale_um, top_um]]) / specimen_pixel_um
    height, width = image.shape
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    true = cv2.warpAffine(specimen, into_specimen, (width, height), flags=flags, borderValue=-1.0)
    seen = (image > 0) & (true >= 0)
    given, wanted = image[seen].astype(np.float64), true[seen].astype(np.float64)
    gain = np.cov(given, wanted)[0, 1] / given.var()
    error = gain * (given - given.mean()) - (wanted - wanted.mean())
    return float(-10 * np.log10(np.mean(error**2)))
