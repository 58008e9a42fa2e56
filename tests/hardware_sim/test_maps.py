"""The maps of the specimen over HTTP: what there is to see, and what there is to feel."""

from collections.abc import Iterator
from urllib.request import urlopen

import cv2
import numpy as np
import pytest

from hardware_sim.clock import ManualClock
from hardware_sim.settings import load_world
from hardware_sim.specimen import Specimen, load_specimen
from hardware_sim.wire import HOST, Listener
from hardware_sim.world import World
from hardware_sim.world_server import WorldServer


@pytest.fixture(scope="module")
def star() -> Specimen:
    return load_specimen("siemens", 200.0, seed=0)


@pytest.fixture(scope="module")
def url(star: Specimen) -> Iterator[str]:
    listener = Listener("world", WorldServer(World(load_world("still"), star, ManualClock(), seed=0)).serve)
    yield f"http://{HOST}:{listener.port}"
    listener.close()


def fetched(url: str) -> tuple[np.ndarray, dict[str, str]]:
    with urlopen(url, timeout=20) as response:
        return cv2.imdecode(np.frombuffer(response.read(), np.uint8), cv2.IMREAD_UNCHANGED), dict(response.headers)


def test_the_reflectance_comes_in_sixteen_bits_with_its_pixel(url: str, star: Specimen) -> None:
    levels, headers = fetched(url + "/specimen")
    assert levels.dtype == np.uint16
    assert levels / 65535 == pytest.approx(star.reflectance, abs=1 / 65535)
    assert (float(headers["X-Pixel-Size-Um"]), headers["X-Origin-Um"]) == (0.2, "0,0")


def test_the_heights_come_with_their_scale(url: str, star: Specimen) -> None:
    levels, headers = fetched(url + "/height")
    heights_um = levels * float(headers["X-Um-Per-Level"])
    assert heights_um == pytest.approx(star.coarse_height_um, abs=1e-4)
    assert float(headers["X-Pixel-Size-Um"]) == pytest.approx(0.8)
    row, column = 60, 80
    assert heights_um[row, column] == pytest.approx(star.height_um(column * 0.8, row * 0.8), abs=1e-4)
