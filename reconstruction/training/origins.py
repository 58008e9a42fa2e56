"""What training data come from, so that nothing is scored on what was trained on."""

from collections.abc import Iterator
from pathlib import Path

from reconstruction.training.paths import paths_of
from reconstruction.training.recipe import Data, DrawnData, FilesData, NoisyData, OverlapsData, PairsData, TwinData


def origins(entries: tuple[Data, ...], folder: Path) -> set[str]:
    """Name all that data are made of: files, seeds of drawn scenes, specimens; paths are meant from `folder`."""
    return {origin for data in entries for origin in _of(data, folder)}


def _of(data: Data, folder: Path) -> Iterator[str]:
    match data:
        case DrawnData():
            yield f"drawn scenes of seed {data.seed}"
        case TwinData():
            yield from (f"twin {one.name} of {one.pixel_nm:g} nm, seed {one.seed}" for one in data.specimens)
        case OverlapsData():
            source = folder / data.source
            yield from (str(path.resolve()) for path in (source, *source.rglob("*")) if path.is_file())
        case PairsData():
            yield from _files(data.low, folder)
            yield from _files(data.high, folder)
        case FilesData() | NoisyData():
            yield from _files(data.files, folder)


def _files(pattern: str, folder: Path) -> Iterator[str]:
    yield from (str(path.resolve()) for path in paths_of(pattern, folder))
