"""Tokens: made once, kept as hashes, taken back, and known to whoever asks from that moment on."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from api.access.roles import Role
from api.access.tokens import MARK, TokenFileError, Tokens
from api.errors import UsageError
from tests.api.conftest import told


def test_a_token_is_its_owners_until_it_is_revoked(tmp_path: Path) -> None:
    service, shell = Tokens(tmp_path), Tokens(tmp_path)
    secret = shell.create("mia", Role.OPERATE)
    found = service.owner_of(secret)
    assert found is not None
    assert (found.name, found.role) == ("mia", Role.OPERATE)
    assert service.owner_of(secret[:-1]) is None
    shell.revoke("mia")
    assert service.owner_of(secret) is None
    assert shell.create("mia", Role.VIEW) != secret


def test_the_file_holds_no_secret_and_is_its_owners_alone(tmp_path: Path) -> None:
    secret = Tokens(tmp_path).create("mia", Role.ADMIN)
    assert len(secret.removeprefix(MARK)) == 43  # 256 bits, 6 a character
    file = tmp_path / "tokens.json"
    assert secret.removeprefix(MARK) not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["", "-x", "a b", "../x", "x" * 65, "é", "a\n"])
def test_a_name_that_would_not_read_well_in_a_log_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="--name"):
        Tokens(tmp_path).create(name, Role.VIEW)


def test_nobody_has_two_tokens_at_a_time(tmp_path: Path) -> None:
    Tokens(tmp_path).create("mia", Role.VIEW)
    with pytest.raises(UsageError, match="mia"):
        Tokens(tmp_path).create("mia", Role.ADMIN)
    with pytest.raises(UsageError, match="max"):
        Tokens(tmp_path).revoke("max")


@pytest.mark.parametrize("content", ["", "{", "[1]", '[{"name": "mia", "role": "king"}]'])
def test_a_damaged_file_lets_nobody_in(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokens.json").write_text(content)
    with pytest.raises(TokenFileError, match=r"tokens\.json"):
        Tokens(tmp_path).all()


def test_the_command_line_makes_lists_and_revokes(nanoraster: Any, tmp_path: Path) -> None:
    made = told(nanoraster("token", "create", "--role", "view", "--name", "lab", "--data", tmp_path, "--json"))
    assert Tokens(tmp_path).owner_of(made["token"]) is not None
    told(nanoraster("token", "revoke", "lab", "--data", tmp_path, "--json"))
    listed = told(nanoraster("token", "list", "--data", tmp_path, "--json"))["tokens"]
    assert [(token["name"], token["role"], token["revoked_at"] is None) for token in listed] == [("lab", "view", False)]
    log = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [line["what"] for line in log] == ["token create --role view --name lab", "token revoke lab"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["create", "--role", "king", "--name", "x"], "king"),
        (["create", "--role", "view", "--name", "x y"], "x y"),
        (["revoke", "nobody"], "nobody"),
        (["revoke", "nobody", "--data", "/absent/folder"], "/absent/folder"),
    ],
)
def test_the_command_line_refuses_in_a_line(nanoraster: Any, tmp_path: Path, words: list[str], said: str) -> None:
    where = [] if "--data" in words else ["--data", tmp_path]
    finished = nanoraster("token", *words, *where)
    assert finished.returncode == 2
    assert said in finished.stderr
    assert "Traceback" not in finished.stderr
