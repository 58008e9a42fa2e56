"""Where the results of a reconstruction are, and how well its tiles fit, as the command line says it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def places_told(out: Path) -> list[str]:
    """Say where mosaic, picture and report lie."""
    return [
        f"mosaic    {out / 'mosaic.zarr'}",
        f"picture   {out / 'report' / 'preview.png'}",
        f"report    {out / 'report' / 'report.html'}",
    ]


def edges_told(stitch: Mapping[str, Any]) -> str:
    """Say how many overlaps were matched, and what is left between tiles; `stitch` of `summary.json`."""
    if stitch["edges"] and not stitch["accepted"]:
        return f"edges     none of {stitch['edges']} matched: all tiles lie where the stage says"
    return f"edges     {stitch['accepted']} of {stitch['edges']} accepted, {stitch['residual_px_rms']:.2f} px rms left"
