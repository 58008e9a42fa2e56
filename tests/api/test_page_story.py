"""The page in a browser, from the login to the report, over a kill of the service."""

import re
from pathlib import Path
from typing import Any

import pytest

from api.access.roles import Role
from api.access.tokens import Tokens
from api.twin import Twin
from tests.api.browser import Watched, browsing, needs_browser
from tests.api.service_bench import SOON_S
from tests.api.test_serve import Serving, serving

pytestmark = [needs_browser, pytest.mark.timeout(240)]

SOON_MS = 1000 * SOON_S
EXPOSURE_MS = "400"  # slow enough to be watched, paused and killed
REGION_UM = {"x from": "2", "x to": "26", "y from": "1", "y to": "24"}


class Reader:
    """Somebody at the page."""

    def __init__(self, watched: Watched) -> None:
        self.watched, self.page = watched, watched.page
        self.page.set_default_timeout(SOON_MS)

    def log_in(self, url: str, token: str) -> None:
        self.page.goto(url, wait_until="domcontentloaded")
        self.page.get_by_label("Token").fill(token)
        self.page.get_by_role("button", name="Log in").click()
        self.page.locator(".scan").wait_for()

    def sees(self, selector: str, **more: Any) -> None:
        self.page.locator(selector, **more).first.wait_for()

    def waits(self, script: str) -> None:
        self.page.wait_for_function(script)

    def draw_region(self) -> None:
        self.page.get_by_role("button", name="Draw region").click()
        box = self.page.locator(".specimen .canvas").bounding_box()
        at = [(box["x"] + part * box["width"], box["y"] + part * box["height"]) for part in (0.3, 0.6)]
        self.page.mouse.move(*at[0])
        self.page.mouse.down()
        self.page.mouse.move(*at[1], steps=4)
        self.page.mouse.up()

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def go(self, part: str) -> None:
        self.page.get_by_label("Parts of the page").get_by_role("link", name=part, exact=True).click()


def shown_tiles(pane: str) -> str:
    """Script that counts the tiles of the mosaic that have a picture."""
    tiles = f"[...document.querySelectorAll('.leaflet-{pane}-pane img')]"
    return f"{tiles}.filter((each) => each.naturalWidth === 256).length"


def test_the_whole_story(twin: Twin, tmp_path: Path) -> None:
    token = Tokens(tmp_path).create("mia", Role.OPERATE)
    with browsing() as watched:
        reader = Reader(watched)
        with serving(tmp_path, "--rig", twin.rig) as service:
            reader.log_in(service.url, token)
            plan_a_scan(reader)
            reader.press("Pause")
            reader.sees(".state[data-state='paused']")
            reader.sees(".banner.warn", has_text="The run waits: told by mia on the page")
            look_at_the_mosaic(reader)
            take_a_tile_again(reader)
            watch_it_grow(reader)
            watched.service_was_killed = True
            service.process.kill()
            reader.sees(".banner.bad", has_text="does not answer")
        with serving(tmp_path, "--rig", twin.rig, "--port", port_of(service)):
            reader.sees(".state:not([data-state='offline'])")
            finish(reader)
            order_the_queue(reader)
            stop_everything(reader)
    assert watched.complaints == []
    assert watched.hosts <= {service.url.removeprefix("http://"), ""}


def port_of(service: Serving) -> str:
    return service.url.rpartition(":")[2]


def move_by_hand(reader: Reader) -> None:
    before = float(reader.page.locator(".readings dd").first.inner_text())
    reader.page.get_by_role("radio", name="5 µm").click()
    reader.page.get_by_role("button", name="x up").click()
    reader.waits(f"Math.abs(parseFloat(document.querySelector('.readings dd').innerText) - {before} - 5) < 0.1")


def plan_a_scan(reader: Reader) -> None:
    page = reader.page
    reader.waits("document.querySelector('.live img')?.naturalWidth > 8")  # a frame of the camera
    move_by_hand(reader)
    reader.draw_region()
    drawn = [float(page.get_by_label(label, exact=True).input_value()) for label in REGION_UM]
    assert 0 < drawn[0] < drawn[1] < 100
    assert drawn[1] - drawn[0] == pytest.approx(drawn[3] - drawn[2], rel=0.2)
    page.get_by_label("x to", exact=True).fill("120")
    reader.sees(".problems li", has_text="outside the scanner's travel")
    assert page.get_by_role("button", name="Start scan").is_disabled()
    for label, value in REGION_UM.items():
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_label("Exposure, ms").fill(EXPOSURE_MS)
    reader.sees(".preview dd", has_text=re.compile(r"^9"))
    page.get_by_label("Name").fill("pads, die 4")
    reader.press("Start scan")
    reader.sees(".state[data-state='acquiring']")


def look_at_the_mosaic(reader: Reader) -> None:
    page = reader.page
    reader.go("mosaic")
    reader.waits(f"{shown_tiles('left')} > 0")
    page.locator(".specimen .canvas").focus()
    before = page.locator(".scale").inner_text()
    page.keyboard.press("+")
    reader.waits(f"document.querySelector('.scale').innerText !== {before!r}")
    page.get_by_label("beside").select_option("restored")
    reader.waits(f"{shown_tiles('right')} > 0")
    divider = page.get_by_role("slider", name="Compare layers")
    divider.focus()
    page.keyboard.press("ArrowLeft")
    assert divider.get_attribute("aria-valuenow") == "48"


def take_a_tile_again(reader: Reader) -> None:
    page = reader.page
    page.get_by_label("Tiles", exact=True).check()
    page.get_by_role("button", name="Whole mosaic").click()
    reader.sees(".legend .ok", has_text=re.compile("[1-9] taken"))
    box = page.locator(".specimen .canvas").bounding_box()
    quarter = box["height"] / 4  # of a square of 3 x 3 tiles in the middle, the first of which is above on the left
    page.locator(".specimen .canvas").click(position={"x": box["width"] / 2 - quarter, "y": quarter})
    reader.sees(".history h2", has_text="Tile 0")
    page.get_by_label("Exposure").select_option("2 times as long")
    reader.press("Take again")
    reader.sees(".history [role=status]", has_text="taken again before the run ends")
    page.get_by_label("Close", exact=True).click()
    page.get_by_label("Tiles", exact=True).uncheck()


def watch_it_grow(reader: Reader) -> None:
    placed = "parseInt(document.querySelector('.stage .grows').innerText)"
    before = reader.page.evaluate(placed)
    reader.press("Resume")
    reader.sees(".state[data-state='acquiring']")
    reader.waits(f"{placed} > {before}")


def finish(reader: Reader) -> None:
    page = reader.page
    reader.go("queue")
    reader.sees(".tag.completed")
    reader.go("mosaic")
    page.get_by_label("Tiles", exact=True).check()
    reader.sees(".legend .ok", has_text="8 taken")
    reader.sees(".legend .doubtful", has_text="1 doubtful, or taken again")
    page.locator(".specimen .canvas").click(position={"x": 760, "y": 300})
    reader.sees(".history li.ok")
    reader.go("runs")
    reader.sees(".facts dd", has_text="9 / 9")
    reader.sees(".facts dd", has_text="1 time")  # that it was resumed
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Open the report").click()
    opened.value.get_by_role("heading").first.wait_for()
    assert "pads, die 4" in opened.value.content()
    opened.value.close()


def order_the_queue(reader: Reader) -> None:
    page, names = reader.page, ["first", "second"]
    for name in names:
        plan = {"name": name, "region": {"x_um": [2, 26], "y_um": [1, 24]}}
        job = {"plan": plan, "start_at": "2099-01-01T22:00:00Z"}
        origin = page.evaluate("window.location.origin")
        assert page.request.post(f"{origin}/api/v1/jobs", data=job, headers={"Origin": origin}).ok
    reader.go("queue")
    page.get_by_role("button", name="second earlier").click()
    reader.waits("document.querySelector('.jobs li.queued strong').innerText === 'second'")
    page.locator(".jobs li", has_text="first").drag_to(page.locator(".jobs li", has_text="second"))
    reader.waits("document.querySelector('.jobs li.queued strong').innerText === 'first'")


def stop_everything(reader: Reader) -> None:
    reader.page.keyboard.press("Control+.")
    reader.sees(".banner.warn", has_text="No job begins")
    reader.press("Release the queue")
    reader.waits("!document.querySelector('.banner.warn')")
