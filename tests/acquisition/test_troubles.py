"""Troubles that were overcome, on their way into a journal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acquisition.journal import Journal
from acquisition.troubles import MOST_A_MINUTE, Troubles
from devices.errors import DeviceLost, DeviceTimeout
from devices.troubles import overcome, overcoming


@pytest.fixture
def troubles() -> Iterator[Troubles]:
    heard = Troubles()
    yield heard
    heard.close()


def noted(troubles: Troubles) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    with troubles.noted_by(lambda kind, **data: entries.append({"kind": kind, **data})):
        pass
    return entries


def test_what_was_overcome_stands_in_the_journal(troubles: Troubles, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", "create")
    with troubles.noted_by(journal.note), overcoming(DeviceTimeout):
        raise DeviceTimeout("force", "no answer")
    (event,) = journal.events()
    journal.close()
    assert event.kind == "device_trouble"
    assert (event.data["device"], event.data["what"], event.data["cause"]) == ("force", "no answer", "DeviceTimeout")


def test_what_happened_before_there_is_a_journal_is_entered_later(troubles: Troubles) -> None:
    overcome(DeviceLost("scanner", "gone for a moment"))
    assert [entry["what"] for entry in noted(troubles)] == ["gone for a moment"]


def test_a_device_that_fails_all_the_time_does_not_fill_the_journal(troubles: Troubles) -> None:
    for _ in range(2 * MOST_A_MINUTE):
        overcome(DeviceLost("scanner", "gone"))
    overcome(DeviceLost("camera", "gone, too"))
    entries = noted(troubles)
    assert [entry["device"] for entry in entries].count("scanner") == MOST_A_MINUTE
    assert entries[-1]["device"] == "camera"
    assert sum(entry.get("left_out", 0) for entry in entries) == MOST_A_MINUTE


def test_a_journal_that_cannot_be_written_keeps_nobody(troubles: Troubles) -> None:
    def refuse(kind: str, **data: Any) -> None:
        raise OSError("disk full")

    with troubles.noted_by(refuse):
        overcome(DeviceLost("scanner", "gone"))


def test_other_errors_are_not_overcome() -> None:
    with pytest.raises(DeviceLost), overcoming(DeviceTimeout):
        raise DeviceLost("scanner", "gone")


def test_nothing_is_heard_after_closing(troubles: Troubles) -> None:
    troubles.close()
    overcome(DeviceLost("scanner", "gone"))
    assert noted(troubles) == []
