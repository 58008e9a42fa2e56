"""Who stitches: this project and its peers, each in an environment of its own, each a command to be measured."""

import json
import os
import signal
import subprocess
import sys
import venv
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
OURS = "nanoraster"
PATIENCE_S = 3600.0


@dataclass(frozen=True)
class Peer:
    """A script of `peers/`, what pip has to install for it, and what its time covers."""

    script: str
    needs: tuple[str, ...]
    makes: str


TOGETHER = ("numpy==2.4.6", "scipy==1.17.1", "tifffile==2026.3.3", "scikit-image==0.26.0")
PEERS = {
    "cv2+LSQ": Peer("phase_places.py", (*TOGETHER[:3], "opencv-python-headless==4.14.0.94"), "places"),
    "ashlar": Peer(
        "ashlar_places.py",
        (*TOGETHER, "ashlar==1.20.0", "networkx==3.6.1", "scikit-learn==1.9.1", "zarr==3.1.6", "pyjnius==1.9.0"),
        "places, pyramid",
    ),
    "multiview": Peer(
        "multiview_places.py",
        (*TOGETHER, "multiview-stitcher==0.1.62", "dask==2026.8.0", "xarray==2026.9.0", "zarr==3.1.6"),
        "places",
    ),
}
MAKES = {OURS: "places, pyramid, report"} | {name: peer.makes for name, peer in PEERS.items()}


@dataclass(frozen=True)
class Spent:
    """What a command took; `peak_mb` in millions of bytes."""

    wall_s: float
    cpu_s: float
    peak_mb: float


class Unable(Exception):
    """Why a peer gave no places, in one line."""


def environment(name: str, envs: Path) -> Path:
    """Make the environment of a peer, unless it is there already; its interpreter.

    Raises:
        Unable: something cannot be installed, or does not start.
    """
    peer = PEERS[name]
    folder = envs / name
    python, ready = folder / "bin" / "python", folder / "installed.json"
    wanted = json.dumps(peer.needs)
    if not ready.is_file() or ready.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        _ask([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.needs])
        ready.write_text(wanted)
    module = (HERE / "peers" / peer.script).read_text().split("if __name__")[0]
    _ask([str(python), "-c", module], env=os.environ | {"PYTHONPATH": str(HERE / "peers")})
    return python


def _ask(command: list[str], env: dict[str, str] | None = None) -> None:
    asked = subprocess.run(command, check=False, capture_output=True, text=True, env=env)
    if asked.returncode:
        raise Unable(_last_line(asked.stderr))


def stitch(command: list[str], work: Path) -> Spent:
    """Run one command and measure it.

    Raises:
        Unable: it failed, or took an hour.
    """
    measured = work / "spent.json"
    shim = [sys.executable, str(HERE / "spent.py"), str(measured), *command]
    process = subprocess.Popen(
        shim, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        _, said = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        raise Unable(f"not done after {PATIENCE_S:g} s") from None
    finally:
        with suppress(ProcessLookupError):  # whatever ends this ends all that it began
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode:
        raise Unable(_last_line(said))
    return Spent(**json.loads(measured.read_text()))


def our_command(tiles: Path, out: Path) -> list[str]:
    """Give what a user types."""
    return [str(Path(sys.executable).with_name(OURS)), "reconstruct", str(tiles), "--out", str(out), "--json"]


def peer_command(name: str, python: Path, tiles: Path, out: Path, reach_px: float) -> list[str]:
    """Give what runs a peer's script; `out` is its `positions.csv`."""
    return [str(python), str(HERE / "peers" / PEERS[name].script), str(tiles), str(out), str(reach_px)]


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no word of why"
