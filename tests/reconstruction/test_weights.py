"""Models on disk: what was saved is loaded, what does not fit is refused in one line, and nothing in them is run."""

import hashlib
import json
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save as bytes_of

from reconstruction import model_card
from reconstruction.errors import InputError
from reconstruction.networks.registry import NETWORKS
from reconstruction.restore import check
from reconstruction.weights import load, save
from tests.reconstruction.models import CARD, model, network


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_loaded_network_does_what_the_saved_one_did(tmp_path: Path, name: str) -> None:
    written = model(tmp_path / "stripes", name, scale=2, out_channels=2)
    module, card = load(tmp_path / "stripes")
    image = torch.randn(1, 1, 16, 16)
    with torch.no_grad():
        assert torch.equal(module(image), network(name, scale=2, out_channels=2)(image))
    assert card == written
    assert (card.network, card.scale, module.training) == (name, 2, False)
    assert card.sha256 == hashlib.sha256((tmp_path / "stripes" / "weights.safetensors").read_bytes()).hexdigest()


def test_a_model_is_found_by_name_and_by_any_path_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NANORASTER_MODELS", str(tmp_path))
    assert "stripes" not in model_card.box()
    model(tmp_path / "stripes")
    assert "stripes" in model_card.box()
    for given in ("stripes", tmp_path / "stripes", tmp_path / "stripes" / "weights.safetensors"):
        assert load(given)[1].name == "stripes"
    with pytest.raises(InputError, match=r"'magic' is not one of .*stripes.*, nor a file or folder"):
        load("magic")


class Bomb:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("kind", ["pickle", "torch"])
@pytest.mark.parametrize("file", ["weights.safetensors", "weights.pt"])
def test_pickled_weights_are_refused_and_not_run(tmp_path: Path, kind: str, file: str) -> None:
    folder, trace = tmp_path / "stripes", tmp_path / "trace"
    model(folder)
    if kind == "pickle":
        (folder / file).write_bytes(pickle.dumps({"weight": Bomb(trace)}))
    else:
        torch.save({"weight": Bomb(trace)}, folder / file)
    with pytest.raises(InputError, match=r"pickled weights can run code when loaded; only safetensors"):
        load(folder / file)
    assert not trace.exists()


def rewrite(folder: Path, **changes: Any) -> None:
    """Change a card; a key with None is left out."""
    card = json.loads((folder / "card.json").read_text()) | changes
    (folder / "card.json").write_text(json.dumps({key: value for key, value in card.items() if value is not None}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scale": 2}, "scale = 2 of the card is not the 1 of its network"),
        ({"channels": 3}, "channels = 3 of the card is not the 1 of its network"),
        ({"network": "rrdb_u4"}, "rrdb_u4: 'levels' is not one of"),
        ({"network": "vgg"}, "network: 'vgg' is not one of"),
        ({"config": {"width": 24, "levels": 2}}, r"body\.\S+ is .* in the weights and .* in the network"),
        ({"config": {"width": 16, "levels": 4000}}, "levels = 4000"),
        ({"config": {"width": 4096, "levels": 4096}}, "levels = 4096"),
        ({"sha256": "0" * 64}, "their hash [0-9a-f]{12} is not the 000000000000 of the card"),
        ({"sha256": "none"}, "sha256: String should match pattern"),
        ({"normalisation": "minmax"}, "normalisation 'minmax' is not 'unit-noise-16'"),
        ({"licence": None}, "licence: Field required"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"scale": "1"}, "scale: Input should be a valid integer"),
        ({"name": "../../etc"}, "name: String should match pattern"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    model(tmp_path / "stripes")
    rewrite(tmp_path / "stripes", **changes)
    with pytest.raises(InputError, match=said) as refused:
        load(tmp_path / "stripes")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"\xff\xfe", b'{"name": NaN}', b"[" * 200_000, b"[" + b"1" * 5000 + b"]"]
)
def test_what_is_no_card_is_refused(tmp_path: Path, content: bytes) -> None:
    model(tmp_path / "stripes")
    (tmp_path / "stripes" / "card.json").write_bytes(content)
    with pytest.raises(InputError, match=r"card .*card\.json: ") as refused:
        load(tmp_path / "stripes")
    assert "\n" not in str(refused.value)


def _hashed(folder: Path, weights: bytes) -> None:
    (folder / "weights.safetensors").write_bytes(weights)
    rewrite(folder, sha256=hashlib.sha256(weights).hexdigest())


def test_weights_that_are_none_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "stripes"
    model(folder)
    whole = (folder / "weights.safetensors").read_bytes()
    for broken in (b"", b"not at all", whole[:-100], b"\xff" * 8 + whole[8:]):
        _hashed(folder, broken)
        with pytest.raises(InputError, match="holds no safetensors") as refused:
            load(folder)
        assert "\n" not in str(refused.value)
    _hashed(folder, bytes_of({"extra": np.zeros(3, np.float32)}))
    with pytest.raises(InputError, match="is None in the weights"):
        load(folder)
    (folder / "weights.safetensors").unlink()
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load(folder)


@pytest.mark.parametrize("size", [2**31, 60 * 2**30])
def test_files_that_only_claim_to_be_weights_are_not_read(tmp_path: Path, size: int) -> None:
    """A file with a hole of gigabytes takes no room on disk, but all the memory of whoever reads it."""
    model(tmp_path / "stripes")
    with (tmp_path / "stripes" / "weights.safetensors").open("r+b") as file:
        file.truncate(size)
    tracemalloc.start()
    try:
        for use in (load, check):
            with pytest.raises(InputError, match="GiB, more than the 1 of any"):
                use(str(tmp_path / "stripes"))
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_weights_with_more_bytes_than_tensors_are_refused(tmp_path: Path) -> None:
    model(tmp_path / "stripes")
    whole = (tmp_path / "stripes" / "weights.safetensors").read_bytes()
    _hashed(tmp_path / "stripes", whole + bytes(64))
    with pytest.raises(InputError, match=rf"{len(whole) + 64} bytes, their header tells of {len(whole)}"):
        check(str(tmp_path / "stripes"))


def test_a_card_longer_than_any_is_not_read(tmp_path: Path) -> None:
    model(tmp_path / "stripes")
    with (tmp_path / "stripes" / "card.json").open("ab") as file:
        file.truncate(2**34)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"card .*card\.json: more than 1 MiB"):
            load(tmp_path / "stripes")
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("header", [b"[]", b'{"a": 1}', b'{"a": {"shape": [1], "data_offsets": [0]}}', b"{" * 5000])
def test_headers_that_are_none_are_refused(tmp_path: Path, header: bytes) -> None:
    model(tmp_path / "stripes")
    _hashed(tmp_path / "stripes", len(header).to_bytes(8, "little") + header)
    with pytest.raises(InputError, match="holds no safetensors: their header cannot be read"):
        load(tmp_path / "stripes")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    module = network()
    with torch.no_grad():
        next(module.parameters()).fill_(float("nan"))
    save(tmp_path / "stripes", module, CARD)
    with pytest.raises(InputError, match="holds numbers that are not finite"):
        load(tmp_path / "stripes")
