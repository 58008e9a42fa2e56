"""What drivers and the rig get over by themselves is told all the same."""

from types import SimpleNamespace
from typing import Any

import pytest

from devices.errors import DeviceLost, DeviceRejected, DeviceTimeout
from devices.rig import OPENING_TRIES, open_device
from devices.troubles import overcoming


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "nanoraster.troubles"]


def test_a_device_that_opens_at_the_last_try_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [DeviceLost("stage", f"not there, try {attempt}") for attempt in range(1, OPENING_TRIES)]

    def factory(role: str, settings: Any) -> str:
        if len(told(caplog)) < len(failures):
            raise failures[len(told(caplog))]
        return role

    monkeypatch.setattr("devices.rig.driver_named", lambda name: (None, factory))
    settings: Any = SimpleNamespace(driver="any")
    assert open_device("stage", settings) == "stage"
    assert told(caplog) == [str(failure) for failure in failures]


def test_only_the_kinds_that_are_named_are_overcome(caplog: pytest.LogCaptureFixture) -> None:
    with overcoming(DeviceTimeout, DeviceLost):
        raise DeviceTimeout("stage", "no answer")
    with pytest.raises(DeviceRejected), overcoming(DeviceTimeout, DeviceLost):
        raise DeviceRejected("stage", "no")
    assert told(caplog) == ["stage: no answer"]
