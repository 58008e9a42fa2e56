"""Models on disk: a folder each, with `weights.safetensors` and `card.json`; found, read and checked without torch.

In the box lie those in `reconstruction/weights/`; `NANORASTER_MODELS` names a folder with more.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reconstruction import normalisation
from reconstruction.errors import InputError

BOX = Path(__file__).parent / "weights"
MORE = "NANORASTER_MODELS"
CARD, WEIGHTS = "card.json", "weights.safetensors"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
MOST_CARD_BYTES = 2**20
MOST_HEADER_BYTES = 2**22  # of weights: names and shapes of their tensors
MOST_WEIGHTS_BYTES = 2**30
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
        with path.open("rb") as file:
            text = file.read(MOST_CARD_BYTES + 1)
        if len(text) > MOST_CARD_BYTES:
            raise InputError(f"card {path}: more than {MOST_CARD_BYTES // 2**20} MiB, no card is that large")
        card = Card.model_validate(json.loads(text.decode("utf-8"), parse_constant=_refuse))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "card"
        raise InputError(f"card {path}: {where}: {first['msg']}") from error
    except InputError:
        raise
    except (OSError, ValueError, RecursionError) as error:  # no JSON, or more digits or brackets than anybody reads
        raise InputError(f"card {path}: cannot be read: {error}") from error
    if card.normalisation != normalisation.NAME:
        raise InputError(f"card {path}: normalisation {card.normalisation!r} is not {normalisation.NAME!r}")
    return card


Shapes = dict[str, tuple[int, ...]]


def check_weights(folder: Path, card: Card) -> Shapes:
    """Make sure that the weights in a folder are those of its card, without holding them; the shapes of their tensors.

    A file larger than any weights is not read. The hash is taken in pieces, then sizes are held against the header.

    Raises:
        InputError: they are not there, pickled, or not those of the card.
    """
    path = folder / WEIGHTS
    try:
        with path.open("rb") as file:
            _refuse_unread(file, path)
            found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != card.sha256:
                raise InputError(f"weights {path}: their hash {found[:12]} is not the {card.sha256[:12]} of the card")
            file.seek(0)
            return _header(file, path)
    except OSError as error:
        raise InputError(f"weights {path}: cannot be read: {error.strerror}") from error


def read_weights(folder: Path, card: Card) -> bytes:
    """Read weights that were checked.

    Raises:
        InputError: they are others by now.
    """
    path = folder / WEIGHTS
    weights = path.read_bytes()
    if hashlib.sha256(weights).hexdigest() != card.sha256:
        raise InputError(f"weights {path}: changed while they were read")
    return weights


def _refuse_unread(file: BinaryIO, path: Path) -> None:
    """Refuse what is larger than any weights, and what is pickled; leave the file at its start."""
    size, start = os.fstat(file.fileno()).st_size, file.read(9)
    if start.startswith(ARCHIVE) or (start.startswith(PICKLE) and start[8:9] != b"{"):
        raise _pickled(path)
    if size > MOST_WEIGHTS_BYTES:
        raise InputError(f"weights {path}: {size / 2**30:.1f} GiB, more than the {MOST_WEIGHTS_BYTES // 2**30} of any")
    file.seek(0)


def _header(file: BinaryIO, path: Path) -> Shapes:
    """Read names and shapes of tensors, and hold what they need against the size of the file."""
    size, start = os.fstat(file.fileno()).st_size, file.read(9)
    length = int.from_bytes(start[:8], "little")
    if len(start) < 9 or not 2 <= length <= min(MOST_HEADER_BYTES, size - 8):
        raise InputError(f"weights {path}: holds no safetensors: a header of {length} in {size} bytes")
    try:
        header = json.loads(start[8:] + file.read(length - 1))
        tensors = {name: facts for name, facts in header.items() if name != "__metadata__"}
        shapes = {name: tuple(int(side) for side in facts["shape"]) for name, facts in tensors.items()}
        end = max((int(facts["data_offsets"][1]) for facts in tensors.values()), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError) as error:
        raise InputError(f"weights {path}: holds no safetensors: their header cannot be read: {error}") from error
    if size != 8 + length + end:
        raise InputError(
            f"weights {path}: holds no safetensors: {size} bytes, their header tells of {8 + length + end}"
        )
    return shapes


def _pickled(path: Path) -> InputError:
    return InputError(f"weights {path}: pickled weights can run code when loaded; only safetensors are taken")


def _folders() -> list[Path]:
    more = os.environ.get(MORE)
    return [BOX, Path(more)] if more else [BOX]


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is no number")
