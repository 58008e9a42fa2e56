"""What fifty people who look on cost a scan: live view, tiles of the mosaic, and events, all at once.

    python -m benchmarks.viewers [--viewers 50] [--side-um 90] [--rounds 1] [--json]

One service on one twin takes a plan alone, with viewers, with as many who look at a bare server of the same bytes
(`benchmarks.bare_server`), and alone again. Each viewer has a page open: the live stream,
the events, a look at the mosaic every 2 s and two of its tiles a second. Beside them are some that have gone dead (a
stream that nobody reads) and some that are slow (1 kB a second). The overhead of a tile is above physics, by the
world's own clock (see `benchmarks.overhead`); CPU is what the service used per tile. Viewers are a process of their
own, but they share the machine: where it has few cores, what the bare server takes is the least that there is to wait.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import uvloop
from websockets.asyncio.client import connect

from acquisition.run_store import RunStore
from api.twin import Twin, running_twin
from benchmarks.bare_server import answering, answers_of
from benchmarks.overhead import above_physics_ms, facts_of
from hardware_sim.settings import load_world

P99_MS, TILE_P95_MS, MOST_GROWN_MB = 8.0, 50.0, 100.0
TILE_EVERY_S, LOOK_EVERY_S = 0.5, 2.0
DEAD, SLOW = 3, 3
SETTLE_S = 2.0
API = "/api/v1"


def main() -> int:
    """Print the figures; exit code 1 if one misses its target."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.viewers")
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--side-um", type=float, default=90.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    region = (5.0, 5.0 + options.side_um)
    plan = {"region": {"x_um": region, "y_um": region}, "camera": {"exposure_ms": 10.0}}
    with running_twin(["--world", "lab"]) as twin, tempfile.TemporaryDirectory() as folder:
        found = measured(twin, plan, Path(folder), options.viewers, options.rounds)
    alone, seen, elsewhere = found["alone"], found["watched"], found["elsewhere"]
    tile_ms, bare_ms = found["tile_ms"], found["bare_tile_ms"]
    met = seen["p99_ms"] <= P99_MS and tile_ms["p95"] <= TILE_P95_MS and found["grown_mb"] <= MOST_GROWN_MB
    if options.json:
        print(json.dumps(found | {"met": met}))
        return 0 if met else 1
    print("overhead of a tile, ms    p50    p99  longest   CPU of the service per tile, ms")
    rows = ("alone", alone), (f"{options.viewers} viewers", seen), ("viewers elsewhere", elsewhere)
    for name, row in rows:
        print(f"{name:22} {row['p50_ms']:6.2f} {row['p99_ms']:6.2f} {row['longest_ms']:8.2f}   {row['cpu_ms']:6.1f}")
    for name, row in (("ratio to alone", alone), ("ratio to elsewhere", elsewhere)):
        print(f"{name:22} {seen['p50_ms'] / row['p50_ms']:6.2f} {seen['p99_ms'] / row['p99_ms']:6.2f}")
    print(f"tiles of the mosaic: {tile_ms}, pictures {found['pictures']}, events {found['events']}")
    ratios = ", ".join(f"{name} {tile_ms[name] / bare_ms[name]:.2f}" for name in ("p50", "p95", "p99"))
    print(f"of a bare server: {bare_ms}, pictures {found['bare_pictures']}; ratio {ratios}")
    print(
        f"CPU of the viewers: {found['viewers_cpu']:.0%} of a core, at the bare server {found['bare_viewers_cpu']:.0%}"
    )
    print(f"CPU of the service while idle: {found['idle_cpu']:.1%} of a core, watched {found['idle_watched_cpu']:.1%}")
    print(f"memory of the service +{found['grown_mb']:.0f} MB")
    return 0 if met else 1


def measured(twin: Twin, plan: dict[str, Any], folder: Path, viewers: int, rounds: int) -> dict[str, Any]:
    """Take the plan alone, watched, and alone again, as often as told."""
    with ExitStack() as opened:
        url, process = opened.enter_context(serving(twin.rig, folder))
        world, own = load_world("lab"), psutil.Process(process)
        runs: dict[str, list[tuple[Path, float]]] = {"alone": [], "watched": [], "elsewhere": []}
        acquire(url, folder, plan, own)  # opens what is opened once
        memory_mb, found = own.memory_info().rss / 1e6, {}
        idle = used(own, SETTLE_S)
        for _ in range(rounds):
            runs["alone"].append(acquire(url, folder, plan, own))
            with watching(url, viewers) as told:
                time.sleep(SETTLE_S)
                found["idle_watched_cpu"] = used(own, SETTLE_S)
                began_s = time.monotonic()
                runs["watched"].append(acquire(url, folder, plan, own))
                took_s = time.monotonic() - began_s
            found |= told
            run = runs["watched"][-1][0]
            with closing(RunStore(run)) as store:
                tiles_per_s = len(store.tiles()) / took_s
            with (
                answering(answers_of(url, run.name, tiles_per_s)) as (bare_url, events_url),
                watching(bare_url, viewers, events_url) as told,
            ):
                time.sleep(SETTLE_S)
                runs["elsewhere"].append(acquire(url, folder, plan, own))
            found |= {f"bare_{name}": value for name, value in told.items()}
            runs["alone"].append(acquire(url, folder, plan, own))
        for name, taken in runs.items():
            overheads = np.concatenate([above_physics_ms(twin, world, run) for run, _ in taken])
            found[name] = facts_of(overheads) | {"cpu_ms": float(np.mean([cpu_ms for _, cpu_ms in taken]))}
        return found | {"idle_cpu": idle, "grown_mb": own.memory_info().rss / 1e6 - memory_mb}


@contextmanager
def serving(rig: Path, folder: Path) -> Iterator[tuple[str, int]]:
    """A service of its own; its URL and process."""
    command = [str(Path(sys.executable).with_name("nanoraster")), "serve", "--rig", str(rig), "--data", str(folder)]
    with subprocess.Popen([*command, "--port", "0", "--json"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"], process.pid
        finally:
            process.terminate()


def acquire(url: str, folder: Path, plan: dict[str, Any], own: psutil.Process) -> tuple[Path, float]:
    """Have the plan taken; the run, and the CPU time of the service per tile, in ms."""
    before = sum(own.cpu_times()[:2])
    job = ask(f"{url}{API}/jobs", {"plan": plan})["id"]
    while (facts := ask(f"{url}{API}/jobs/{job}"))["state"] != "done":
        time.sleep(0.2)
    run = folder / "runs" / facts["run"]
    with closing(RunStore(run)) as store:
        return run, 1e3 * (sum(own.cpu_times()[:2]) - before) / len(store.tiles())


def used(own: psutil.Process, seconds: float) -> float:
    """How much of a core a process uses for so long."""
    before, began_s = sum(own.cpu_times()[:2]), time.monotonic()
    time.sleep(seconds)
    return (sum(own.cpu_times()[:2]) - before) / (time.monotonic() - began_s)


@contextmanager
def watching(url: str, viewers: int, events_url: str = "") -> Iterator[dict[str, Any]]:
    """Have people look on; filled with what they saw, once they have gone."""
    events_url = events_url or f"ws{url.removeprefix('http')}{API}/events"
    told: dict[str, Any] = {}
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=look_on, args=(url, events_url, viewers, there))
    process.start()
    here.recv()
    try:
        yield told
    finally:
        here.send("enough")
        told |= here.recv()
        process.join()


def look_on(url: str, events_url: str, viewers: int, line: Connection) -> None:
    """Be the viewers, until told that it is enough."""
    os.nice(5)
    uvloop.run(Audience(url, events_url).be(viewers, line))


class Audience:
    """All that they saw."""

    def __init__(self, url: str, events_url: str) -> None:
        self.events_url = events_url
        host, port = url.removeprefix("http://").split(":")
        self.address = host, int(port)
        self.tile_ms: list[float] = []
        self.pictures = 0
        self.events = 0
        self.drawn = 0

    async def be(self, viewers: int, line: Connection) -> None:
        enough = asyncio.Event()
        loop = asyncio.get_running_loop()
        threading.Thread(target=lambda: (line.recv(), loop.call_soon_threadsafe(enough.set)), daemon=True).start()
        tasks = [asyncio.create_task(one()) for one in (self.live, self.hear, self.zoom) for _ in range(viewers)]
        tasks += [asyncio.create_task(self.live(read_bytes=0)) for _ in range(DEAD)]
        tasks += [asyncio.create_task(self.live(read_bytes=1024)) for _ in range(SLOW)]
        line.send("here")
        began_s, spent_s = time.monotonic(), time.process_time()
        await enough.wait()
        viewers_cpu = (time.process_time() - spent_s) / (time.monotonic() - began_s)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        broken = [repr(each) for each in ended if isinstance(each, Exception)]
        p50, p95, p99 = (round(float(each), 1) for each in np.percentile(self.tile_ms or [0.0], [50, 95, 99]))
        tile_ms = {"answers": len(self.tile_ms), "drawn": self.drawn, "p50": p50, "p95": p95, "p99": p99}
        seen = {"pictures": self.pictures, "events": self.events, "viewers_cpu": viewers_cpu, "broken": broken[:5]}
        line.send({"tile_ms": tile_ms} | seen)

    async def live(self, read_bytes: int = 2**16) -> None:
        """Have the live stream open; the dead one reads nothing, the slow one a little a second."""
        reader, writer = await asyncio.open_connection(*self.address, limit=2**16)
        writer.write(f"GET {API}/live.mjpg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        try:
            while read_bytes != 0:
                part = await reader.read(read_bytes)
                if not part:
                    return
                self.pictures += part.count(b"--nanoraster-frame")
                if read_bytes < 2**16:
                    await asyncio.sleep(1.0)
            await asyncio.Event().wait()
        finally:
            writer.close()

    async def hear(self) -> None:
        async with connect(self.events_url) as socket:
            async for _ in socket:
                self.events += 1

    async def zoom(self) -> None:
        """Look at the mosaic of the newest run, and at tiles of it."""
        await asyncio.sleep(random.random() * TILE_EVERY_S)
        reader, writer = await asyncio.open_connection(*self.address)
        looked_s, levels, run = -LOOK_EVERY_S, [], ""
        with closing(writer):
            while True:
                if time.monotonic() - looked_s >= LOOK_EVERY_S:
                    looked_s = time.monotonic()
                    job = json.loads((await get(reader, writer, f"{API}/status"))[1])["job"]
                    run = job["run"] if job and job["run"] else ""
                    status, found = await get(reader, writer, f"{API}/runs/{run}/mosaic") if run else (404, b"")
                    levels = json.loads(found)["layers"].get("raw", []) if status == 200 else []
                if levels:
                    level = random.randrange(len(levels))
                    row, column = (random.randrange(-(-side // 256)) for side in levels[level]["shape_px"])
                    began_s = time.monotonic()
                    status, _ = await get(reader, writer, f"{API}/runs/{run}/mosaic/raw/{level}/{row}/{column}.jpg")
                    self.tile_ms.append(1e3 * (time.monotonic() - began_s))
                    self.drawn += status == 200
                await asyncio.sleep(TILE_EVERY_S)


async def get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> tuple[int, bytes]:
    """Ask over a line that stays open."""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length: ")[1].split("\r\n")[0])
    return int(head.split()[1]), await reader.readexactly(length)


def ask(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
