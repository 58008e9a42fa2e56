"""`tell`: whether anybody would be told at night."""

import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acquisition.conftest import RIG

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_refuses_a_rig_file_that_tells_nobody(tmp_path: Path, nanoraster: Command) -> None:
    rig = tmp_path / "rig.toml"
    rig.write_text(RIG)
    refused = nanoraster("tell", "--rig", rig)
    assert refused.returncode == 2
    assert refused.stderr == f"nanoraster: {rig}: tell: no webhooks and no mails, nobody would be told\n"


def test_says_which_channel_does_not_work(tmp_path: Path, nanoraster: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as closed:  # bound, but nobody listens
        closed.bind(("127.0.0.1", 0))
        rig = tmp_path / "rig.toml"
        rig.write_text(
            f"{RIG}\n[[tell.webhooks]]\nname = 'chat'\nurl = 'http://127.0.0.1:{closed.getsockname()[1]}/'\n"
        )
        tried = nanoraster("tell", "--rig", rig, "--json")
    assert tried.returncode == 1
    (chat,) = json.loads(tried.stdout)["channels"]
    assert chat["channel"] == "chat"
    assert "Connection refused" in chat["trouble"]
