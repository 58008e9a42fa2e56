"""How fast networks restore frames, copies included, beside what the machine could do and beside a plain loop.

    python -m benchmarks.restoration --networks rrdb_u4 nafnet_32 --device cuda --json

Mpx/s are of input, from a frame in memory to the restored one in memory, several threads asking as the worker's do.
`roof` is the best of a large matrix product and a large convolution in the same run, in the number format of the
network's body; of it is used what counts as work on the frame itself, not on halos. `plain` is the same network in
float32, eager, tile by tile, each copied there and back. `agrees` compares bfloat16 with float32 on one frame, as PSNR
over the grey values of the frame; on a processor, where the restorer uses float32, it is what bfloat16 would do.
Weights are random, and what a network adds is scaled to be as strong as noise.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv2d
from torch.utils.flop_counter import FlopCounterMode

from reconstruction.cuda_place import Cuda
from reconstruction.model_card import Card
from reconstruction.network_restorer import NetworkRestorer
from reconstruction.networks.network import Network
from reconstruction.networks.registry import NETWORKS, build
from reconstruction.normalisation import NAME, SIGMAS, Normalisation
from reconstruction.restoring_place import Place, Processor, restored
from reconstruction.tiling import Tiling

THREADS = 8
GOALS_MPX_S = {"rrdb_u4": 90.0, "rrdb_full": 7.0, "nafnet_32": 100.0}  # on an H200, from issue 6
ELECTRONS = 30  # of a pixel, at most


@dataclass(frozen=True)
class Row:
    """What one network did on one device."""

    network: str
    device: str
    mpx_s: float
    mflop_px: float
    roof_share: float
    plain_mpx_s: float
    faster: float
    agrees_db: float
    first_s: float  # until the first frame was restored: choices of libraries, compilation, capture
    goal_mpx_s: float | None


def main() -> int:
    options = _options()
    torch.backends.cudnn.benchmark = True
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    frame = _frame(tuple(options.frame))
    roof = _roof_flop_s(device, options.seconds)
    rows = [_measured(name, device, frame, roof, options) for name in options.networks]
    told = {
        "device": torch.cuda.get_device_name() if device == "cuda" else f"cpu, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "frame": list(frame.shape),
        "roof_tflop_s": roof / 1e12,
        "rows": [asdict(row) for row in rows],
    }
    print(json.dumps(told, indent=1) if options.json else _table(told, rows))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.restoration", description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=sorted(NETWORKS), choices=sorted(NETWORKS))
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--frame", nargs=2, type=int, default=[2160, 2560], metavar=("ROWS", "COLUMNS"))
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement, about")
    parser.add_argument("--eager", action="store_true", help="captured on a GPU, but not compiled")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _frame(shape: tuple[int, int]) -> NDArray[np.uint16]:
    """Stripes and knots under shot noise."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    clean = 0.5 + 0.4 * np.sin(rows / 9) * np.sin(columns / 23 + rows / 50)
    return np.clip(np.random.default_rng(0).poisson(clean * ELECTRONS) * 1500, 0, 65535).astype(np.uint16)


def _measured(name: str, device: str, frame: NDArray[Any], roof_flop_s: float, options: argparse.Namespace) -> Row:
    torch.manual_seed(0)
    network = _made_to_matter(build(name, {}).eval())
    place = _place(network, device, compiled=not options.eager)
    restorer = NetworkRestorer(deepcopy(network), _card(name), place, _say)
    before = time.perf_counter()
    restorer.restore(frame)
    first_s = time.perf_counter() - before
    mpx_s = _rate(restorer.restore, frame, options.seconds, THREADS)
    plain = _Plain(network, device)
    plain_mpx_s = _rate(plain.restore, frame, options.seconds, 1)
    flop_px = _flop_px(name)
    return Row(
        name,
        device,
        mpx_s,
        flop_px / 1e6,
        mpx_s * 1e6 * flop_px / roof_flop_s,
        plain_mpx_s,
        mpx_s / plain_mpx_s,
        _agreement_db(network, place, plain, frame),
        first_s,
        GOALS_MPX_S.get(name) if device == "cuda" else None,
    )


def _made_to_matter(network: Network) -> Network:
    """Fill what begins at zero, and scale what is added to the size of the noise."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.abs().max() == 0:
                parameter.normal_(0, 0.1)
        image = torch.randn(1, 1, 64, 64) / SIGMAS
        added = (network(image) - image).std()
        for parameter in network.tail.parameters():
            parameter *= 1 / SIGMAS / added
    return network


def _place(network: Network, device: str, compiled: bool) -> Place:
    return Cuda(network, _say, compiled) if device == "cuda" else Processor(deepcopy(network))


def _card(name: str) -> Card:
    return Card(
        name=name.replace("_", "-"),
        network=name,
        config={},
        scale=1,
        channels=1,
        normalisation=NAME,
        data="none",
        pixel_size_nm=None,
        metrics={},
        licence="none",
        sha256="0" * 64,
        version=1,
    )


def _rate(restore: Callable[[NDArray[Any]], object], frame: NDArray[Any], seconds: float, threads: int) -> float:
    """Mpx/s, of as many frames as it takes to fill the time, two for each thread at least."""
    before = time.perf_counter()
    restore(frame)
    one_s = time.perf_counter() - before
    count = max(2 * threads if one_s < seconds else 1, round(seconds / one_s))
    before = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(restore, [frame] * count):
            pass
    return count * frame.size / 1e6 / (time.perf_counter() - before)


class _Plain:
    """What one writes first: float32, tile by tile, nothing captured, nothing beside anything else."""

    def __init__(self, network: Network, device: str) -> None:
        self._network = deepcopy(network).to(device)
        self._device = device

    def restore(self, frame: NDArray[Any]) -> NDArray[Any]:
        network = self._network
        tile_px = Cuda.tile_px if self._device == "cuda" else Processor.tile_px
        tiling = Tiling.of((frame.shape[0], frame.shape[1]), tile_px, network.halo_px, network.multiple_of)

        def run(tiles: Tensor) -> Tensor:
            return torch.cat([network(tile[None].to(self._device)).cpu() for tile in tiles])

        with torch.inference_mode():
            made = restored(torch.from_numpy(frame), tiling, run, network.scale, Normalisation.of(frame))
        return made[0].numpy()


def _agreement_db(network: Network, place: Place, plain: _Plain, frame: NDArray[Any]) -> float:
    if isinstance(place, Processor):
        frame = np.ascontiguousarray(frame[:256, :256])
        network = deepcopy(network)
        network.body.to(torch.bfloat16)
        place = Processor(network)
    tiling = Tiling.of((frame.shape[0], frame.shape[1]), place.tile_px, network.halo_px, network.multiple_of)
    coarse = place.restore(frame, tiling, 1, Normalisation.of(frame))[0].astype(float)
    mse = np.square(coarse - plain.restore(frame)).mean()
    return float(10 * np.log10(float(np.ptp(frame)) ** 2 / max(mse, 1e-12)))


def _flop_px(name: str) -> float:
    with torch.device("meta"):
        network = build(name, {}).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.empty(1, 1, 64, 64))
    return float(counter.get_total_flops()) / 64**2


def _roof_flop_s(device: str, seconds: float) -> float:
    """The better of a matrix product and a convolution, each for that long."""
    kind = torch.bfloat16 if device == "cuda" else torch.float32
    side, pixels = (8192, 512) if device == "cuda" else (1024, 128)
    one, other = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    maps = torch.randn(4, 256, pixels, pixels, device=device, dtype=kind).to(memory_format=torch.channels_last)
    weights = torch.randn(256, 256, 3, 3, device=device, dtype=kind).to(memory_format=torch.channels_last)
    product = _flop_s(lambda: one @ other, 2 * side**3, device, seconds)
    convolution = _flop_s(lambda: conv2d(maps, weights, padding=1), 2 * 9 * 256**2 * 4 * pixels**2, device, seconds)
    return max(product, convolution)


def _flop_s(work: Callable[[], Tensor], flop: int, device: str, seconds: float) -> float:
    with torch.inference_mode():
        return max(flop * count / took_s for count, took_s in _runs(work, device, seconds))


def _runs(work: Callable[[], Tensor], device: str, seconds: float) -> Iterator[tuple[int, float]]:
    """Time ten runs together, again and again; the first are for nothing."""
    count = 10 if device == "cuda" else 1
    until = time.perf_counter() + seconds
    work()
    while time.perf_counter() < until:
        _wait(device)
        before = time.perf_counter()
        for _ in range(count):
            work()
        _wait(device)
        yield count, time.perf_counter() - before


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _table(told: dict[str, Any], rows: list[Row]) -> str:
    lines = [
        f"{told['device']}, torch {told['torch']}, frames of {told['frame'][0]} x {told['frame'][1]} px, "
        f"roof {told['roof_tflop_s']:.2f} TFLOP/s",
        f"{'network':<10} {'Mpx/s':>8} {'goal':>6} {'MFLOP/px':>9} {'of roof':>8} {'plain':>8} {'faster':>7} "
        f"{'agrees dB':>10} {'first s':>8}",
    ]
    for row in rows:
        goal = f"{row.goal_mpx_s:.0f}" if row.goal_mpx_s else ""
        lines.append(
            f"{row.network:<10} {row.mpx_s:>8.3g} {goal:>6} {row.mflop_px:>9.3g} {row.roof_share:>8.1%} "
            f"{row.plain_mpx_s:>8.3g} {row.faster:>7.2f} {row.agrees_db:>10.1f} {row.first_s:>8.1f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
