"""A run of a service, from another process: its tiles, mosaic and report."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zarr

from api import answers
from api.remote import POLL_S, Connection, NanorasterError, part
from api.remote_mosaic import RemoteMosaic


class Run:
    """What was acquired."""

    def __init__(self, connection: Connection, name: str, data: Path | None) -> None:
        self.name = name
        self._connection = connection
        self._data = data
        self._path = f"/runs/{part(name)}"

    def __repr__(self) -> str:
        return f"<Run {self.name}>"

    def facts(self) -> answers.Run:
        """Its plan, and what came of it so far."""
        return self._connection.get(answers.Run, self._path)

    def tiles(self, after: int = 0) -> Iterator[dict[str, Any]]:
        """Attempts at tiles in the order in which they ended, those after a `number`: what the journal has of each."""
        while True:
            found = self._connection.get(answers.TilesOfRun, f"{self._path}/tiles", after=after)
            if not found.tiles:
                return
            for tile in found.tiles:
                yield tile.model_dump()  # type: ignore[attr-defined]
            after = found.last

    def layers(self) -> dict[str, list[answers.Level]]:
        """The layers of its mosaic, and of each the levels from full resolution on."""
        return self._mosaic().layers

    def mosaic(self, layer: str = "raw", level: int = 0) -> "zarr.Array[Any] | RemoteMosaic":
        """One level of its mosaic, (y, x), as it is now.

        Where this machine has the folder of the service (`connect(data=...)`), the zarr array itself, with the values
        that were measured. Elsewhere a `RemoteMosaic`: 8 bit JPEG tiles as the page shows them, not for measuring.

        Raises:
            NanorasterError: there is no such layer or level, or it is not in that folder.
        """
        found = self._mosaic()
        levels = found.layers.get(layer, [])
        if not 0 <= level < len(levels):
            has = ", ".join(found.layers) or "none yet"
            raise NanorasterError(f"run {self.name}: no level {level} of a layer {layer!r}; layers: {has}")
        if self._data is None:
            rows, columns = levels[level].shape_px
            low, high = found.display_range or (None, None)
            shown = None if low is None or high is None else (low, high)
            return RemoteMosaic(
                self._connection, f"{self._path}/mosaic/{layer}/{level}", (rows, columns), found.tile_px, shown
            )
        name, _, model = layer.partition("@")
        folder = self._data / "restored" / self.name / model if model else self._data / "runs" / self.name
        try:
            return zarr.open_array(folder / "mosaic.zarr" / name / str(level), mode="r")
        except (OSError, ValueError) as error:
            raise NanorasterError(f"run {self.name}: its mosaic is not in {folder}: {error}") from error

    def _mosaic(self) -> answers.MosaicAnswer:
        return self._connection.get(answers.MosaicAnswer, f"{self._path}/mosaic")

    def report(self) -> str:
        """The page that tells of it, with all its pictures: HTML."""
        return self._connection.ask("GET", f"{self._path}/report").text

    def reconstruct(self, model: str, wait: bool = True) -> None:
        """Restore it again with another model, whose layers are `raw@MODEL` and `restored@MODEL` then.

        Raises:
            NanorasterError: another one is being restored, it was restored so before, or (with `wait`) it was cut off.
        """
        self._connection.post(answers.Restoring, f"{self._path}/reconstruct", {"model": model})
        while wait:
            (state,) = [each.state for each in self._mosaic().restored_again if each.model == model]
            if state == "done":
                return
            if state != "working":
                raise NanorasterError(f"run {self.name}: restoring it with {model}: {state}")
            time.sleep(POLL_S)
