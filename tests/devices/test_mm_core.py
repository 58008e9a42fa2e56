"""The core itself, on Micro-Manager's demo camera."""

from pathlib import Path

import mm_test_adapters
import pytest

from devices.mm_core import Core

DEMO_CFG = Path(mm_test_adapters.__file__).parent / "libs" / "MMConfig_demo.cfg"


def test_devices_are_unloaded_once_the_thread_that_exposes_has_left_them(monkeypatch: pytest.MonkeyPatch) -> None:
    core = Core(buffer_mb=16)
    core.load(DEMO_CFG)
    core.setExposure(100.0)
    running: list[bool] = []
    unload = core.unloadAllDevices

    def note_and_unload() -> None:
        running.append(core.isSequenceRunning())
        unload()

    monkeypatch.setattr(core, "unloadAllDevices", note_and_unload)
    core.start_adapter_sequence(2)
    assert core.isSequenceRunning()
    core.unload()
    assert running == [False]
