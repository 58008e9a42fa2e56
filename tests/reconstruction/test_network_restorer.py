"""Frames restored by a network: seamless, on any grid, with whatever memory there is, and never by torch unasked."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from reconstruction.errors import InputError
from reconstruction.model_card import Card, read
from reconstruction.network_restorer import NetworkRestorer, UncertainNetworkRestorer
from reconstruction.networks.network import Network
from reconstruction.networks.registry import NETWORKS
from reconstruction.normalisation import Normalisation
from reconstruction.restore import Restorer, UncertainRestorer, deviation_steps, restorer
from reconstruction.restoring_place import Processor
from reconstruction.tiling import Tiling
from tests.reconstruction.models import model, network
from tests.reconstruction.scenes import texture


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def noisy(shape: tuple[int, int] = (200, 230), dtype: type = np.uint16) -> NDArray[Any]:
    clean = texture("grains", shape, 1) * 40 + 10
    gain = 600 if dtype is np.uint16 else 3
    return np.clip(np.random.default_rng(0).poisson(clean) * gain, 0, np.iinfo(dtype).max).astype(dtype)


def card(folder: Path, name: str = "preview", **options: Any) -> Card:
    return model(folder / "stripes", name, **options)


class Small(Processor):
    """Little at once, to have many tiles."""

    tile_px = 64
    batch_px = 300_000


def of(module: Network, known: Card, place: Processor | None = None) -> NetworkRestorer:
    return NetworkRestorer(module, known, place or Small(module), pytest.fail)


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (64, 64), (65, 129), (130, 47)])
def test_a_cut_frame_is_put_together_again(shape: tuple[int, int]) -> None:
    frame = torch.from_numpy(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    tiling = Tiling.of(shape, largest_px=64, halo_px=13, multiple_of=8)
    tiles = tiling.cut(frame)
    assert tiles.shape == (tiling.count, 1, *tiling.tile_shape)
    assert all(side % 8 == 0 for side in (*tiling.tile_shape, tiling.halo_px))
    assert torch.equal(tiling.join(tiles, 1)[0], frame)
    twice = tiles.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert torch.equal(tiling.join(twice, 2)[0, ::2, 1::2], frame)


def test_beyond_the_rim_of_a_frame_lies_its_mirror_image() -> None:
    frame = torch.from_numpy(np.random.default_rng(0).normal(size=(20, 31)))
    tiling = Tiling.of((20, 31), largest_px=64, halo_px=24, multiple_of=8)
    after = [side + 24 - there for side, there in zip(tiling.inside, frame.shape, strict=True)]
    mirrored = np.pad(frame.numpy(), ((24, after[0]), (24, after[1])), mode="reflect")
    assert np.array_equal(tiling.cut(frame)[0, 0].numpy(), mirrored)


def shaken(name: str, **options: Any) -> Network:
    """A network that changes what it is given by about as much as there is to change."""
    module = network(name, **options)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.abs().max() == 0:
                parameter.normal_(0, 0.3, generator=generator)
        image = torch.randn(1, 1, 64, 64, generator=generator) / 4
        change = (module(image)[:, :1, :: module.scale, :: module.scale] - image).std()
        for parameter in list(module.tail.parameters()):
            parameter *= 0.2 / change
    return module


@pytest.mark.parametrize("name", sorted(NETWORKS.keys() - {"nafnet_32"}))  # but for its width a nafnet_16
def test_tiles_leave_no_seams(tmp_path: Path, name: str) -> None:
    module, known, frame = shaken(name), card(tmp_path, name), noisy()
    tiled, whole = of(module, known), of(module, known, Processor(module))
    apart = tiled.restore(frame).astype(float) - whole.restore(frame)
    assert np.abs(frame - whole.restore(frame).astype(float)).mean() > 1000  # the network does something
    assert np.abs(apart).max() <= np.ptp(frame) / 255


@pytest.mark.parametrize("name", ["preview", "nafnet_16"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_network_of_scale_two_doubles_frames_on_their_grid(tmp_path: Path, name: str, dtype: type) -> None:
    module, frame = network(name, scale=2), noisy((65, 70), dtype)
    with torch.no_grad():
        for parameter in module.tail.parameters():
            parameter.zero_()  # what is left enlarges
    made = of(module, card(tmp_path, name, scale=2)).restore(frame)
    assert (made.dtype, made.shape) == (frame.dtype, (130, 140))
    coarse = made.reshape(65, 2, 70, 2).mean((1, 3))[4:-4, 4:-4]
    moved = [np.abs(coarse - np.roll(frame, by, (0, 1))[4:-4, 4:-4]).mean() for by in ((0, 0), (0, 1), (1, 0))]
    assert moved[0] < 0.5 * min(moved[1:])


def test_what_is_answered_unchanged_comes_back_unchanged(tmp_path: Path) -> None:
    module = network("preview")
    with torch.no_grad():
        for parameter in module.tail.parameters():
            parameter.zero_()
    frame = noisy((128, 128))
    back = of(module, card(tmp_path)).restore(frame)
    gain = Normalisation.of(frame).noise.gain
    assert np.abs(back - frame.astype(float)).max() < 0.5 * gain  # a noisy value is taken for the mean of such: 1/4


def test_a_second_channel_is_the_standard_deviation_in_grey_values(tmp_path: Path) -> None:
    module, frame = network("preview", out_channels=2), noisy((80, 96))
    with torch.no_grad():
        for parameter in module.tail.parameters():
            parameter.zero_()  # answers everywhere: off by the noise itself
    known = card(tmp_path, out_channels=2)
    made = UncertainNetworkRestorer(module, known, Small(module), pytest.fail)
    assert isinstance(made, UncertainRestorer)
    assert not isinstance(of(module, known), UncertainRestorer)
    grey, deviation = made.restore_with_deviation(frame)
    assert np.array_equal(grey, made.restore(frame))
    noise = Normalisation.of(frame).noise
    expected = np.sqrt(noise.gain * frame.astype(float) + noise.offset).clip(1) * deviation_steps(frame.dtype)
    middle = np.abs(frame - frame.mean()) < frame.mean() / 2
    assert np.median(deviation[middle] / expected.clip(0, 65535)[middle]) == pytest.approx(1, abs=0.05)


def test_a_deviation_of_forty_grey_values_is_not_cut_in_8_bits(tmp_path: Path) -> None:
    """Few quanta: the noise is that strong, and so is the doubt of a network that has learned nothing."""
    module = network("preview", out_channels=2)
    with torch.no_grad():
        for parameter in module.tail.parameters():
            parameter.zero_()  # answers everywhere: off by the noise itself
    random = np.random.default_rng(0)
    frame = np.clip(np.rint(random.normal(128, 40, (96, 96))), 0, 255).astype(np.uint8)
    made = UncertainNetworkRestorer(module, card(tmp_path, out_channels=2), Small(module), pytest.fail)
    deviation = made.restore_with_deviation(frame)[1] / deviation_steps(frame.dtype)
    assert np.median(deviation) == pytest.approx(40, rel=0.15)


class Full(Processor):
    """Has memory for so many tiles at once."""

    name = "cuda"
    tile_px = 64
    batch_px = 2**30

    def __init__(self, module: Network, room: int) -> None:
        super().__init__(module)
        self.room = room
        self.asked: list[int] = []

    def restore(self, frame: NDArray[Any], tiling: Tiling, batch: int, normalisation: Normalisation) -> NDArray[Any]:
        self.asked.append(batch)
        if batch > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().restore(frame, tiling, batch, normalisation)


def test_too_little_memory_halves_the_batch_and_says_so(tmp_path: Path) -> None:
    module, known, said = shaken("preview"), card(tmp_path), list[str]()
    place = Full(module, room=4)
    made = NetworkRestorer(module, known, place, said.append)
    whole = of(module, known).restore(noisy())
    assert np.abs(made.restore(noisy()).astype(int) - whole).max() <= 1
    assert place.asked == [16, 8, 4]
    made.restore(noisy())
    assert place.asked[3:] == [4]  # and remembers
    assert [line.split("; ")[1] for line in said] == ["going on with 8 tiles", "going on with 4 tiles"]
    assert said[0] == "model stripes: cuda has too little memory for 16 x 124 x 116 px at once; going on with 8 tiles"


def test_no_memory_at_all_falls_back_to_the_cpu_and_says_so(tmp_path: Path) -> None:
    module, known, said = shaken("preview"), card(tmp_path), list[str]()
    made = NetworkRestorer(module, known, Full(module, room=0), said.append)
    whole = of(module, known).restore(noisy())
    assert np.abs(made.restore(noisy()).astype(int) - whole).max() <= 1
    assert said[-1].endswith("for 1 x 124 x 116 px at once; going on with the CPU, which is much slower")


def test_threads_that_run_out_of_memory_together_halve_it_once_each_time(tmp_path: Path) -> None:
    module, known, said = shaken("preview"), card(tmp_path), list[str]()
    made = NetworkRestorer(module, known, Full(module, room=4), said.append)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(made.restore, [noisy()] * 8))
    assert all(np.array_equal(each, found[0]) for each in found)
    assert len(said) == 2


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (16, 16), (33, 300)])
def test_tiny_frames_are_restored_too(tmp_path: Path, shape: tuple[int, int]) -> None:
    module = shaken("nafnet_16")
    frame = np.random.default_rng(3).poisson(120, shape).astype(np.uint8)
    frame.setflags(write=False)  # as a view of a file is
    assert of(module, card(tmp_path, "nafnet_16")).restore(frame).shape == shape


def test_a_model_is_restored_with_by_path_and_its_hash_is_that_of_its_weights(tmp_path: Path) -> None:
    card(tmp_path)
    made = restorer(str(tmp_path / "stripes"), "cpu")
    checked: Restorer = made
    assert (checked.name, checked.sha256) == ("stripes", read(tmp_path / "stripes").sha256)
    assert np.array_equal(made.restore(noisy()), restorer(str(tmp_path / "stripes"), "auto").restore(noisy()))


def test_devices_that_are_not_there_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="device: 'cuda' is not there"):
        restorer(str(tmp_path / "stripes"), "cuda")
    with pytest.raises(InputError, match="device: 'gpu' is not one of auto, cpu, cuda"):
        restorer(str(tmp_path / "stripes"), "gpu")


def test_nothing_loads_torch_before_a_network_is_asked_for() -> None:
    lines = (
        "import sys, api.cli, api.serve, api.service, api.worker, acquisition.engine; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", lines], check=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.filterwarnings("ignore")  # of compilers
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_gpu_makes_the_same_of_a_frame_up_to_its_rounding(name: str) -> None:
    from reconstruction.cuda_place import Cuda

    module = shaken(name)
    frame = noisy((300, 500))
    normalisation = Normalisation.of(frame)

    def by(place: Any) -> NDArray[Any]:
        tiling = Tiling.of((300, 500), 256, module.halo_px, module.multiple_of)
        return np.asarray(place.restore(frame, tiling, 2, normalisation)[0], dtype=float)

    said: list[str] = []
    mse = np.square(by(Cuda(module, said.append)) - by(Processor(module))).mean()
    assert 10 * np.log10(65535**2 / mse) > 55
    assert not said
