"""Models on disk: a folder each, with `weights.safetensors` and `card.json`; found, read and checked without torch.

In the box lie those in `reconstruction/weights/`; `NANORASTER_MODELS` names a folder with more.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reconstruction import normalisation
from reconstruction.errors import InputError

BOX = Path(__file__).parent / "weights"
MORE = "NANORASTER_MODELS"
CARD, WEIGHTS = "card.json", "weights.safetensors"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
ARCHIVE, PICKLE = b"PK\x03\x04", b"\x80"  # as torch.save writes them; the length of a header may begin like a pickle
PICKLED_ENDS = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt")

Length = Annotated[float, Field(gt=0)]
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Card(BaseModel):
    """What a model is, what it was made from, and how good it is."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    network: str  # a name of `networks.registry`
    config: dict[str, Any]
    scale: int  # pixels made of one along each axis
    channels: int  # of an image
    normalisation: str
    data: str  # that it was trained on
    pixel_size_nm: Annotated[list[Length], Field(min_length=2, max_length=2)] | None  # smallest and largest
    metrics: dict[str, Any]
    licence: str
    sha256: Hash  # of the weights
    version: int
    training: dict[str, Any] = {}  # the recipe, and what came of it on the way


def box() -> list[str]:
    """Name the models at hand, in alphabetical order."""
    found = {path.parent.name for folder in _folders() for path in folder.glob(f"*/{CARD}")}
    return sorted(name for name in found if NAME.fullmatch(name))


def folder_of(name_or_path: str, others: Iterable[str] = ()) -> Path:
    """Find a model at hand by its name; else take what is given for its folder, or for a file in it.

    Args:
        others: names that would have been taken, too, for whoever has to mend it.

    Raises:
        InputError: neither is there.
    """
    if NAME.fullmatch(name_or_path):
        for folder in _folders():
            if (folder / name_or_path / CARD).is_file():
                return folder / name_or_path
    path = Path(name_or_path)
    if path.suffix in PICKLED_ENDS:
        raise _pickled(path)
    if path.is_file():
        return path.parent
    if not path.is_dir():
        raise InputError(f"model: {name_or_path!r} is not one of {', '.join([*others, *box()])}, nor a file or folder")
    return path


def read(folder: Path) -> Card:
    """Read the card in a folder.

    Raises:
        InputError: it is not there, not a card, or of a model that this version does not know how to feed.
    """
    path = folder / CARD
    try:
        card = Card.model_validate(json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "card"
        raise InputError(f"card {path}: {where}: {first['msg']}") from error
    except (OSError, ValueError, RecursionError) as error:  # no JSON, or more digits or brackets than anybody reads
        raise InputError(f"card {path}: cannot be read: {error}") from error
    if card.normalisation != normalisation.NAME:
        raise InputError(f"card {path}: normalisation {card.normalisation!r} is not {normalisation.NAME!r}")
    return card


def checked_weights(folder: Path, card: Card) -> bytes:
    """Read the weights of a card.

    Raises:
        InputError: they are not there, pickled, or not those of the card.
    """
    path = folder / WEIGHTS
    try:
        weights = path.read_bytes()
    except OSError as error:
        raise InputError(f"weights {path}: cannot be read: {error.strerror}") from error
    if weights.startswith(ARCHIVE) or (weights.startswith(PICKLE) and weights[8:9] != b"{"):
        raise _pickled(path)
    found = hashlib.sha256(weights).hexdigest()
    if found != card.sha256:
        raise InputError(f"weights {path}: their hash {found[:12]} is not the {card.sha256[:12]} of the card")
    return weights


def _pickled(path: Path) -> InputError:
    return InputError(f"weights {path}: pickled weights can run code when loaded; only safetensors are taken")


def _folders() -> list[Path]:
    more = os.environ.get(MORE)
    return [BOX, Path(more)] if more else [BOX]


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is no number")
