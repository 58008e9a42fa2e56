"""The worked example of a driver as the conformance suite needs it: installed, and at a peer that knows the truth."""

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from devices.drivers import GROUP, driver_named
from tests.conformance.bench import Bench
from tests.conformance.positioner_backends import SETTLE_S, Backend

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "xy20"
FAULTS = ("silence", "late_answer", "garbage", "partial_line", "closed_socket", "controller_error")
ANSWER_S = 0.5  # the peer is a thread of this process, and waits for its turn like all of them
LATE_S = 1.5 * ANSWER_S


def install(folder: Path) -> None:
    """Do what pip does with a package: its modules, and what its pyproject.toml says of entry points."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())
    for module in project["tool"]["setuptools"]["py-modules"]:
        (folder / f"{module}.py").write_text((EXAMPLE / f"{module}.py").read_text())
    name, version = project["project"]["name"].replace("-", "_"), project["project"]["version"]
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    points = project["project"]["entry-points"][GROUP]
    lines = [f"[{GROUP}]", *(f"{driver} = {where}" for driver, where in points.items())]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")


class PeerBench(Bench):
    """The suite's bench, where a peer of the driver's own takes the place of the twin."""

    def __init__(self, peer: Any) -> None:
        self.peer = peer
        self.ready = {"xy20": {"url": peer.url}}

    def truth(self) -> dict[str, Any]:
        x_um, y_um = (count / 10 for count in self.peer.stage.counts.values())
        return {"scanner_um": [x_um, y_um, 0.0], "focus_um": 0.0, "drift_um": [0.0, 0.0, 0.0]}

    def injected(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self.peer.befallen]

    def arm(self, device: str, name: str, after: int = 0, **parameters: float) -> None:
        assert name in FAULTS
        self.peer.arm(name, after, **{"delay_s": LATE_S} | parameters)


def open_xy20(bench: Bench, **more: Any) -> Any:
    """Open the driver as a rig does: by its name."""
    found = driver_named("xy20")
    assert found is not None
    model, factory = found
    return factory("device", model.model_validate(settings(bench) | more))


def settings(bench: Bench) -> Mapping[str, Any]:
    return {"url": bench.ready["xy20"]["url"], "answer_s": ANSWER_S, "settle_s": SETTLE_S}


XY20 = Backend(
    name="XY-20",
    device="scanner",
    axis="x",
    here_um=8_000.0,
    there_um=8_200.0,
    far_um=16_000.0,
    speed_um_per_s=20_000.0,
    brake_um=0.0,
    reach_um=0.5,
    exact_um=0.1,  # a count
    travel_um={"x": (0.0, 20_000.0), "y": (0.0, 20_000.0)},
    open=open_xy20,
    tell=lambda bench, line: None,
)


@contextmanager
def running(peer: Any) -> Iterator[PeerBench]:
    try:
        yield PeerBench(peer)
    finally:
        peer.close()
