"""`nanoraster serve` off loopback: not before there is a token, and then for whoever shows it."""

import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from api.access.roles import Role
from api.access.tokens import Tokens
from tests.api.test_serve import serving

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_it_refuses_to_start_without_a_valid_token(nanoraster: Run, tmp_path: Path) -> None:
    Tokens(tmp_path).create("mia", Role.ADMIN)
    Tokens(tmp_path).revoke("mia")
    finished = nanoraster("serve", "--host", "0.0.0.0", "--port", 0, "--data", tmp_path)
    assert finished.returncode == 2
    assert finished.stderr.count("\n") == 1
    assert "--host 0.0.0.0" in finished.stderr
    assert "nanoraster token create" in finished.stderr


def test_it_lets_in_whoever_shows_one_until_it_is_revoked(nanoraster: Run, tmp_path: Path) -> None:
    secret = Tokens(tmp_path).create("mia", Role.VIEW)
    with serving(tmp_path, "--host", "0.0.0.0") as service:
        url = service.url.replace("0.0.0.0", "127.0.0.1")

        def status(token: str | None) -> int:
            request = urllib.request.Request(f"{url}/api/v1/status")
            if token:
                request.add_header("Authorization", f"Bearer {token}")
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as refusal:
                with refusal:
                    return refusal.code

        assert [status(None), status("nr_x"), status(secret)] == [401, 401, 200]
        nanoraster("token", "revoke", "mia", "--data", tmp_path)
        assert status(secret) == 401
        (tmp_path / "tokens.json").unlink()
        assert status(None) == 401


@pytest.mark.parametrize("content", ["[", "{}"])
def test_it_does_not_start_with_tokens_that_cannot_be_read(nanoraster: Run, tmp_path: Path, content: Any) -> None:
    (tmp_path / "tokens.json").write_text(content)
    finished = nanoraster("serve", "--host", "0.0.0.0", "--port", 0, "--data", tmp_path)
    assert finished.returncode == 2
    assert "tokens.json" in finished.stderr
