"""Many who ask a silent rig at a time wait for it once, and whoever makes it safe does not wait for them."""

import threading
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from unittest.mock import Mock

import pytest

from api.hand.by_hand import ByHand
from api.hand.readings import devices
from api.hand.together import Together
from devices.errors import DeviceTimeout
from devices.rig import Rig, RigSettings
from tests.api.service_bench import SOON_S, eventually, rig_file

ASKERS = 12


def test_whoever_makes_a_silent_rig_safe_waits_for_one_of_those_who_ask(tmp_path: Path) -> None:
    settings = RigSettings.load(rig_file(tmp_path))
    answers, tries, gives_up = list[bool | None](), list[str](), threading.Event()

    def silent(settings: RigSettings, opened: ExitStack) -> Rig:
        tries.append(settings.name)
        gives_up.wait(SOON_S)
        raise DeviceTimeout("scanner", "no answer within 0.5 s")

    def make_safe() -> None:
        with hand.away("it is made safe"):
            tries.append("made safe")

    hand = ByHand(lambda: settings, silent)
    threads = [threading.Thread(target=lambda: answers.append(devices(hand, None)[0]["ok"])) for _ in range(ASKERS)]
    for thread in threads:
        thread.start()
    eventually(lambda: tries)
    safe = threading.Thread(target=make_safe)
    safe.start()
    eventually(lambda: hand.taken, "it waits for whoever opens the rig before it bars the others")
    gives_up.set()
    for thread in (safe, *threads):
        thread.join(SOON_S)
    assert tries[:2] == ["stand-ins", "made safe"]
    assert len(tries) <= 3  # those who came meanwhile may ask once more, all together
    assert answers == [False] * ASKERS


def test_those_who_wait_meanwhile_share_the_next_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks, asked, answers, ends = count(), list[int](), list[int](), threading.Event()
    looks = list[int]()

    def monotonic() -> float:
        looks.append(next(ticks))
        return float(looks[-1])

    monkeypatch.setattr("api.hand.together.time", Mock(monotonic=monotonic))

    def question() -> int:
        asked.append(len(asked))
        ends.wait(SOON_S)
        return asked[-1]

    together = Together[int]()
    threads = [threading.Thread(target=lambda: answers.append(together.ask(question))) for _ in range(1 + ASKERS)]
    for thread in threads:
        thread.start()
        eventually(lambda: asked)
    eventually(lambda: len(looks) == 2 + ASKERS)  # the first has asked, and all others want to
    ends.set()
    for thread in threads:
        thread.join(SOON_S)
    assert sorted(answers) == [0] + [1] * ASKERS
    assert together.ask(question) == 2
