"""Pictures of the page for docs/images, taken of a service on the twin: `python docs/screenshots.py [FOLDER]`.

Needs Playwright for Python, and Debian's Chromium.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
NANORASTER = Path(sys.executable).parent / "nanoraster"
ARGUMENTS = ["--no-sandbox", "--disable-gpu"]
DESK, TABLET = {"width": 1280, "height": 800}, {"width": 820, "height": 1180}
REGION = {"x_um": [12.0, 62.0], "y_um": [10.0, 50.0]}
FIRST = {"name": "pads, die 4", "region": REGION, "reconstruction": {"model": "nlm"}, "camera": {"exposure_ms": 2}}
SECOND = {
    "name": "vias, die 5",
    "region": {"x_um": [10, 90], "y_um": [10, 90]},
    "tiles": {"overlap": 0.2, "overlap_band": [0.1, 0.4]},
    "camera": {"exposure_ms": 400},
}
CORNERS = ((0.25, 0.62), (0.42, 0.55), (0.75, 0.6), (0.7, 0.85), (0.45, 0.75))  # of the map
LATER = [{"name": name, "region": REGION} for name in ("lamellae, overnight", "Siemens star")]
SHOWN_S = 240.0
QUALITY = 88


@contextmanager
def serving(data: str) -> Iterator[str]:
    command = [NANORASTER, "serve", "--sim", "--data", data, "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


def ask(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, {"Content-Type": "application/json"})) as answer:
        return json.load(answer)


def until(condition: Any) -> None:
    deadline = time.monotonic() + SHOWN_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it never came to be")
        time.sleep(0.1)


def shoot(page: Page, folder: Path, name: str) -> None:
    page.wait_for_timeout(1500)  # for the last tiles of the mosaic
    page.screenshot(path=folder / f"page_{name}.jpg", type="jpeg", quality=QUALITY)
    print(folder / f"page_{name}.jpg")


def pictures(page: Page, url: str, folder: Path, run: str) -> None:
    """At a desk, in the light: every part of the page, while the second job runs."""
    page.goto(f"{url}/ui/", wait_until="domcontentloaded")
    page.locator(".scan").wait_for()
    page.get_by_role("button", name="begin with numbers").click()
    for label, value in {"x from": 20, "x to": 60, "y from": 55, "y to": 85}.items():
        page.get_by_label(label, exact=True).fill(str(value))
    page.get_by_label("Name").fill("vias, die 5")
    page.locator(".preview dd").first.wait_for()
    page.wait_for_function("document.querySelector('.live img')?.naturalWidth > 8")
    shoot(page, folder, "scan")
    draw_polygon(page)
    shoot(page, folder, "polygon")
    page.goto(f"{url}/ui/#/mosaic/{run}")
    page.get_by_label("beside").select_option("restored")
    page.locator(".specimen .canvas").focus()
    for _ in range(2):
        page.keyboard.press("+")
        page.wait_for_timeout(400)
    shoot(page, folder, "compare")
    page.get_by_label("beside").select_option("")
    page.get_by_role("button", name="Whole mosaic").click()
    page.get_by_label("Tiles", exact=True).check()
    page.locator(".specimen .canvas").click(position={"x": 560, "y": 260})
    page.locator(".history").wait_for()
    shoot(page, folder, "tiles")
    page.goto(f"{url}/ui/#/runs/{run}")
    page.locator(".facts iframe").wait_for()
    shoot(page, folder, "runs")
    page.goto(f"{url}/ui/#/rig")
    page.get_by_role("button", name="Ask the devices").click()
    page.locator(".rig .tag.ok").first.wait_for()
    shoot(page, folder, "rig")


def draw_polygon(page: Page) -> None:
    page.get_by_role("button", name="Draw polygon").click()
    box = page.locator(".specimen .canvas").bounding_box()
    assert box is not None
    for x, y in (*CORNERS, CORNERS[0]):
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.wait_for_timeout(300)  # or it were a double click
    page.locator(".preview dd").first.wait_for()


def take_again(page: Page, url: str, folder: Path) -> None:
    page.goto(f"{url}/ui/#/mosaic")
    page.locator(".leaflet-left-pane img").first.wait_for()
    page.get_by_label("Tiles", exact=True).check()
    box = page.locator(".specimen .canvas").bounding_box()
    assert box is not None
    while not page.locator(".history").count():  # it has grown meanwhile
        page.locator(".specimen .canvas").click(position={"x": box["width"] / 2, "y": box["height"] / 2})
        page.wait_for_timeout(300)
    page.get_by_label("Exposure").select_option(index=2)
    page.get_by_role("button", name="Take again").click()
    page.locator(".history .hint[role=status]").wait_for()
    shoot(page, folder, "retake")


def pictures_of_a_run(page: Page, url: str, folder: Path) -> None:
    page.goto(f"{url}/ui/#/queue", wait_until="domcontentloaded")
    page.locator(".jobs li").nth(2).wait_for()
    shoot(page, folder, "queue")
    page.goto(f"{url}/ui/#/scan")
    page.locator(".readings .wide").wait_for()  # the overlap, once a row has ended
    shoot(page, folder, "scan_running")


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data, serving(data) as url, sync_playwright() as driver:
        job = ask(f"{url}/api/v1/jobs", {"plan": FIRST})["id"]
        until(lambda: ask(f"{url}/api/v1/jobs/{job}")["state"] == "done")
        run = ask(f"{url}/api/v1/jobs/{job}")["run"]
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        pictures(browser.new_page(viewport=DESK), url, folder, run)
        second = ask(f"{url}/api/v1/jobs", {"plan": SECOND})["id"]
        for plan in LATER:
            ask(f"{url}/api/v1/jobs", {"plan": plan, "start_at": "2099-01-01T22:00:00Z"})
        until(lambda: (ask(f"{url}/api/v1/status")["progress"] or {"placed": 0})["placed"] > 20)
        desk = browser.new_page(viewport=DESK)
        pictures_of_a_run(desk, url, folder)
        take_again(desk, url, folder)
        dark = browser.new_page(viewport=DESK, color_scheme="dark")
        dark.goto(f"{url}/ui/#/mosaic", wait_until="domcontentloaded")
        dark.locator(".leaflet-left-pane img").first.wait_for()
        shoot(dark, folder, "mosaic_dark")
        dark.goto(f"{url}/ui/#/scan")
        shoot(dark, folder, "scan_dark")
        tablet = browser.new_page(viewport=TABLET)
        tablet.goto(f"{url}/ui/#/scan", wait_until="domcontentloaded")
        tablet.locator(".scan").wait_for()
        shoot(tablet, folder, "tablet")
        tablet.goto(f"{url}/ui/#/mosaic")
        shoot(tablet, folder, "tablet_mosaic")
        tablet.goto(f"{url}/ui/#/runs/{run}")
        shoot(tablet, folder, "tablet_runs")
        ask(f"{url}/api/v1/jobs/{second}/stop", {})
        browser.close()


if __name__ == "__main__":
    main()
