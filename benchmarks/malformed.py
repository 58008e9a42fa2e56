"""Ten thousand requests that make no sense, against a service on the twin: is each refused, and does nothing move?

    python -m benchmarks.malformed [--requests 10000] [--seed 1] [--json]

Each is wrong by how it was made: a good request with one thing spoiled. Its body (cut off, no JSON, NaN, huge numbers,
wrong types, keys that nobody knows), a plan or a useq sequence in it, its path (tricks with `..`, `%2f`, nulls), its
query, its method; or what is below: headers, lengths, bodies that never come, frames of a WebSocket. All go over a
socket of their own, byte for byte. Expected is one problem of one line and no 500; below HTTP, a closed line will do.
At the end the world is asked whether anything has moved or was exposed, the queue whether it is what it was, and a job
has to run as before.
"""

import argparse
import base64
import json
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from api.twin import World, running_twin

API = "/api/v1"
PLAN: dict[str, Any] = {
    "name": "pads",
    "region": {"x_um": [20.0, 40.0], "y_um": [20.0, 36.0]},
    "tiles": {"overlap": 0.2, "order": "serpentine"},
    "camera": {"exposure_ms": 10.0},
    "focus": {"policy": "none", "range_um": 4.0},
    "on_failure": {"timeout": "retry:3 then skip", "consecutive": 5},
}
SEQUENCE: dict[str, Any] = {
    "grid_plan": {"rows": 2, "columns": 2, "overlap": 10, "mode": "row_wise"},
    "stage_positions": [{"x": 30.0, "y": 30.0}],
    "channels": [{"config": "green", "exposure": 10.0}],
}
GOOD: list[tuple[str, str, Any]] = [
    ("POST", f"{API}/plans/preview", PLAN),
    ("POST", f"{API}/plans/preview", PLAN),
    ("POST", f"{API}/plans/preview", SEQUENCE),
    ("POST", f"{API}/jobs", {"plan": PLAN, "window": "22:00-07:00"}),
    ("POST", f"{API}/jobs", {"plan": SEQUENCE}),
    ("PATCH", f"{API}/jobs/1", {"position": 0, "queue_version": 1}),
    ("POST", f"{API}/devices/scanner/move", {"targets_um": {"x": 20.0, "y": 30.0}}),
    ("POST", f"{API}/snap", {"exposure_ms": 20.0}),
    ("POST", f"{API}/lease", {"seconds": 60.0}),
    ("POST", f"{API}/jobs/1/pause", {"after": "tile", "reason": "x"}),
    ("POST", f"{API}/jobs/1/abort", {"reason": "x"}),
    ("POST", f"{API}/runs/RUN/reconstruct", {"model": "nlm"}),
]
"""Requests that would be taken, or might be; RUN is one that is there."""
NASTY = [
    "NaN",
    "Infinity",
    "-1e999",
    "true",
    "[[1]]",
    '{"x": NaN}',
    r'"\ud800"',
    r'"\u0000"',
    r'"\u202e"',
    "1e400",
]
"""No key of `GOOD` may have any of these values."""
NO_JSON = [b"", b"{", b"\x00", b"{'a': 1}", b"\xff\xfe\xfa", b'{"a":' * 3000, b"[" * 200_000, b"<x/>", b'{"a": 1}}']
NO_TABLE = [b"[]", b"3", b'"x"', b"true", b"NaN"]
TRICKS = [
    "..",
    "%2e%2e",
    "..%2f..%2fetc%2fpasswd",
    "a%00b",
    "%ff",
    "x" * 300,
    "-1",
    "9" * 30,
    "1.5",
    "a/b",
    "%0d%0aX:1",
    "~",
    "%25",
]
READ = ["/runs/NAME", "/runs/NAME/tiles", "/runs/NAME/report", "/runs/NAME/mosaic", "/jobs/NAME", "/devices/NAME"]
READ += ["/runs/RUN/mosaic/NAME/0/0/0.jpg", "/runs/RUN/mosaic/raw/NAME/0/0.jpg", "/runs/RUN/mosaic/raw/0/NAME/0.jpg"]
TOLD = ["/jobs/NAME/pause", "/jobs/NAME/resume", "/jobs/NAME/skip", "/jobs/NAME/abort", "/devices/NAME/home"]
QUERIES = ["after=-1", "after=NaN", "after=1e3", "limit=0", "limit=1001", "limit=%00", "after=" + "9" * 40, "limit="]
METHODS = ["PUT", "TRACE", "DELETE", "PATCH"]
NO_METHODS = [b"get", b"BREW", b"G E T", b"\x00"]
FRAMES = [
    b"\x81\x05hello",
    b"\x8f\x80\0\0\0\0",
    b"\xf1\x80\0\0\0\0",
    b"\x81\xff" + b"\xff" * 8,
    b"\x00" * 64,
    b"GET / HTTP/1.1\r\n",
]
"""Of a WebSocket: not masked, unknown, with reserved bits, endless, empty, none."""
ANSWER_S, PATIENCE_S = 20.0, 60.0
PROBLEM = "application/problem+json"
LONGEST_DETAIL = 4000


@dataclass(frozen=True)
class Wrong:
    """One request as it goes over the line. `below`: it is no HTTP that the service could answer with a problem."""

    kind: str
    data: bytes
    below: bool = False
    cut: bool = False  # the line is closed for writing behind it


@dataclass
class Result:
    """What came of them."""

    requests: int = 0
    seconds: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    unclear: list[str] = field(default_factory=list)
    moved: bool = False
    queue_changed: bool = False
    healthy: bool = False
    works_after: bool = False
    grown_mb: float = 0.0

    @property
    def good(self) -> bool:
        return not (self.unclear or self.moved or self.queue_changed) and self.healthy and self.works_after


def wrong_requests(chance: random.Random, run: str) -> Callable[[], Wrong]:
    """Give another one at each call; `run` is the name of one that is there."""

    def http(kind: str, method: str, path: str, body: bytes = b"", content_type: str = "application/json") -> Wrong:
        head = f"{method} {path.replace('RUN', run)} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        if body or method in ("POST", "PATCH"):
            head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        return Wrong(kind, head.encode() + b"\r\n" + body)

    def body() -> Wrong:
        method, path, good = chance.choice(GOOD)
        return http("body", method, path, spoiled_body(chance, good))

    def content_type() -> Wrong:
        method, path, good = chance.choice(GOOD)
        return http(
            "type", method, path, json.dumps(good).encode(), chance.choice(["text/plain", "image/png", "a/b/c"])
        )

    def values() -> Wrong:
        method, path, good = chance.choice(GOOD)
        return http("values", method, path, spoiled_values(chance, good))

    def path() -> Wrong:
        trick = chance.choice(TRICKS)
        if chance.random() < 0.7:
            return http("path", "GET", API + chance.choice(READ).replace("NAME", trick))
        return http("path", "POST", API + chance.choice(TOLD).replace("NAME", trick), b"{}")

    def query() -> Wrong:
        return http("query", "GET", f"{API}/runs/RUN/tiles?{chance.choice(QUERIES)}")

    def method() -> Wrong:
        return http(
            "method", chance.choice(METHODS), f"{API}/{chance.choice(['status', 'runs', 'models', 'queue/hold'])}"
        )

    def below() -> Wrong:
        method, path, good = chance.choice(GOOD)
        whole = http("below", method, path, json.dumps(good).encode()).data
        head, _, content = whole.partition(b"\r\n\r\n")
        return chance.choice(
            [
                Wrong("cut off", whole[: chance.randrange(1, len(whole) - 1)], True, True),
                Wrong("no HTTP", bytes(chance.randrange(256) for _ in range(chance.randrange(1, 200))), True, True),
                Wrong("no method", chance.choice(NO_METHODS) + whole[len(method) :], True, True),
                Wrong("length", re.sub(rb"Length: \d+", b"Length: -5", head) + b"\r\n\r\n" + content, True, True),
                Wrong("length", head + b"\r\nContent-Length: 3\r\n\r\n" + content, True, True),
                Wrong(
                    "chunks",
                    re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", head) + b"\r\n\r\nzz\r\n",
                    True,
                    True,
                ),
                Wrong("headers", b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 100_000 + b"\r\n\r\n", True, True),
            ]
        )

    def websocket() -> Wrong:
        key = base64.b64encode(chance.randbytes(16)).decode()
        head = "Upgrade: websocket\r\nConnection: Upgrade\r\nHost: 127.0.0.1\r\n"
        asked = f"GET {API}/events{chance.choice(['', '?after=0'])} HTTP/1.1\r\n{head}"
        shaken = f"{asked}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        return chance.choice(
            [
                Wrong("websocket", shaken + chance.choice(FRAMES), True, True),
                Wrong("websocket", shaken.replace(b": 13", b": 99"), True, True),
                Wrong("websocket", f"{asked}Sec-WebSocket-Version: 13\r\n\r\n".encode(), True, True),
                Wrong(
                    "websocket",
                    shaken.replace(b"/events", b"/events?after=-1&x=").replace(b"?after=0", b""),
                    True,
                    True,
                ),
            ]
        )

    makers = [body, body, values, values, values, content_type, path, path, query, method, below, websocket]
    return lambda: chance.choice(makers)()


def spoiled_body(chance: random.Random, good: Any) -> bytes:
    """What is no JSON, or no table, or one that ends too early."""
    text = json.dumps(good).encode()
    return chance.choice(
        [text[: chance.randrange(1, len(text) - 1)], chance.choice(NO_JSON[1:]), chance.choice(NO_TABLE)]
    )


def spoiled_values(chance: random.Random, good: Any) -> bytes:
    """A table with one value that it may not have, or a key that nobody knows."""
    mark = "a value to be spoiled"
    spoiled = json.loads(json.dumps(good))
    tables, leaves = [spoiled], []
    places: list[Any] = [spoiled]
    while places:
        place = places.pop()
        for key in place if isinstance(place, dict) else range(len(place)):
            inner = isinstance(place[key], dict | list)
            (places if inner else leaves).append(place[key] if inner else (place, key))
            if isinstance(place[key], dict):
                tables.append(place[key])
    if chance.random() < 0.25:
        chance.choice(tables)[f"k{chance.randrange(1000)}"] = 1
        return json.dumps(spoiled).encode()
    place, key = chance.choice(leaves)
    place[key] = mark
    return json.dumps(spoiled).replace(f'"{mark}"', chance.choice(NASTY)).encode()


def send(address: tuple[str, int], wrong: Wrong) -> bytes:
    """What comes back, until the other end closes."""
    with socket.create_connection(address, ANSWER_S) as line:
        found = bytearray()
        try:
            line.sendall(wrong.data)
            if wrong.cut:
                line.shutdown(socket.SHUT_WR)
            while part := line.recv(65536):
                found += part
        except ConnectionError:  # closed at once on what is no HTTP
            pass
        return bytes(found)


def unclear(wrong: Wrong, answer: bytes) -> str | None:
    """What is wrong with an answer; None: nothing."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(found[1]) if (found := re.match(rb"HTTP/1\.1 (\d+)", head)) else None
    if wrong.below:
        return None if status is None or status == 101 or 400 <= status < 500 or status == 200 else f"status {status}"
    if status is None or not 400 <= status < 500:
        return f"status {status}"
    if PROBLEM.encode() not in head:
        return "no problem"
    detail = json.loads(body)["detail"]
    return None if detail and "\n" not in detail and len(detail) < LONGEST_DETAIL else f"detail {detail[:200]!r}"


def main() -> int:
    """Print what came of it; exit code 1 if anything moved, was lost, or was not refused clearly."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.malformed")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with running_twin(["--world", "still"]) as twin, tempfile.TemporaryDirectory() as folder:
        result = tried(twin.rig, twin.world, Path(folder), options.requests, options.seed)
    if options.json:
        print(json.dumps(vars(result) | {"good": result.good}))
    else:
        print(f"{result.requests} requests in {result.seconds:.0f} s: {dict(result.kinds)}")
        print(f"answers {dict(result.statuses)}; memory of the service +{result.grown_mb:.0f} MB")
        print(f"moved {result.moved}, queue changed {result.queue_changed}, healthy {result.healthy}")
        print(f"a job runs as before: {result.works_after}; not refused clearly: {len(result.unclear)}")
        print("\n".join(result.unclear[:20]))
    return 0 if result.good else 1


def tried(rig: Path, world: World, folder: Path, requests: int, seed: int) -> Result:
    """Start a service, run a job for there to be a run, and send."""
    command = [str(Path(sys.executable).with_name("nanoraster")), "serve", "--rig", str(rig), "--data", str(folder)]
    with subprocess.Popen([*command, "--port", "0", "--json"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = json.loads(process.stdout.readline())["url"]
            run = job_done(url)
            ask(url, "POST", "/queue/hold")
            waiting = ask(url, "POST", "/jobs", {"plan": PLAN})["id"]
            assert waiting
            ask(url, "GET", "/devices")
            return sent(url, run, world, process.pid, requests, random.Random(seed))
        finally:
            process.terminate()


def sent(url: str, run: str, world: World, pid: int, requests: int, chance: random.Random) -> Result:
    """Send, and compare before and after."""
    result, another = Result(), wrong_requests(chance, run)
    host, port = url.removeprefix("http://").split(":")
    service = psutil.Process(pid)
    before, queue, memory = standing(world), queued(url), service.memory_info().rss
    began_s = time.monotonic()
    send_all((host, int(port)), another, requests, result)
    result.seconds = time.monotonic() - began_s
    result.moved = standing(world) != before
    result.queue_changed = queued(url) != queue
    result.grown_mb = (service.memory_info().rss - memory) / 1e6
    status = ask(url, "GET", "/status")
    result.healthy = status["health"]["service"] == "working" and not status["troubles"] and status["lease"] is None
    ask(url, "POST", "/queue/release")
    result.works_after = bool(job_done(url))
    return result


def send_all(address: tuple[str, int], another: Callable[[], Wrong], requests: int, result: Result) -> None:
    """Send so many, each again for as long as the answer is that they come too often."""
    while result.requests < requests:
        wrong = another()
        answer = send(address, wrong)
        while (again := re.search(rb"HTTP/1.1 429 .*?retry-after: (\d+)", answer, re.S | re.I)) is not None:
            result.statuses["429"] += 1
            time.sleep(int(again[1]))
            answer = send(address, wrong)
        result.requests += 1
        result.kinds[wrong.kind] += 1
        result.statuses[answer[9:12].decode(errors="replace") or "closed"] += 1
        if (why := unclear(wrong, answer)) is not None:
            result.unclear.append(f"{wrong.kind}: {why}: {wrong.data[:300]!r} -> {answer[-300:]!r}")


def standing(world: World) -> tuple[Any, ...]:
    """Where everything truly is, to a nanometre, and how often the camera was exposed."""
    with urllib.request.urlopen(f"{world.url}/truth", timeout=ANSWER_S) as answer:
        truth = json.load(answer)
    places_um = [*truth["scanner_um"], truth["focus_um"]]
    return *(round(place_um, 3) for place_um in places_um), truth["probe_contact"], len(world.exposures())


def queued(url: str) -> Any:
    """The jobs, but for when they may begin, which is now."""
    return [{**job, "starts_at": None} for job in ask(url, "GET", "/jobs")["jobs"]]


def job_done(url: str) -> str:
    """Have the plan acquired; its run."""
    job = ask(url, "POST", "/jobs", {"plan": PLAN})["id"]
    deadline = time.monotonic() + PATIENCE_S
    while (facts := ask(url, "GET", f"/jobs/{job}"))["state"] != "done":
        if time.monotonic() > deadline:
            raise TimeoutError(f"job {job} is {facts['state']}")
        time.sleep(0.2)
    assert facts["outcome"] == "completed", facts
    return str(facts["run"])


def ask(url: str, method: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + API + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
        return json.load(answer)


if __name__ == "__main__":
    sys.exit(main())
