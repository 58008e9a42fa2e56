"""README.md and docs/: every link leads somewhere, and every command line is one that nanoraster understands."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from acquisition import guardian
from api.cli import app
from hardware_sim.__main__ import _parse as parse_sim
from tests.docs.documents import DOCS, ROOT, blocks, documents, prose

LINK = re.compile(r"\]\(([^)\s]+)\)")
MENTION = re.compile(r"`(nanoraster [^`]*)`")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
ELSEWHERE = ("http://", "https://", "mailto:")
COMMANDS = get_command(app)
IDS = [str(document.relative_to(ROOT)) for document in documents()]


@pytest.mark.parametrize("document", documents(), ids=IDS)
def test_every_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    for link in LINK.findall(prose(document)):
        if link.startswith(ELSEWHERE):
            continue
        path, _, heading = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{document.name}: {link}"
        assert target.is_relative_to(ROOT.resolve()), f"{document.name}: {link}"
        assert not heading or heading in headings(target), f"{document.name}: {link}"


@pytest.mark.parametrize("document", documents(), ids=IDS)
def test_every_command_line_is_understood(document: Path) -> None:
    for line in (line for line in command_lines(document) if "[--" not in line):
        understand(shlex.split(line)[1:])


@pytest.mark.parametrize("document", documents(), ids=IDS)
def test_every_command_that_is_mentioned_exists_with_its_options(document: Path) -> None:
    synopses = [line for line in command_lines(document) if "[--" in line]
    for mention in MENTION.findall(prose(document)) + synopses:
        words = [word.strip("[],;.") for word in mention.replace("\\|", "|").split()[1:]]
        for name in words[0].split("|") if words else []:
            command = COMMANDS.commands.get(name)  # type: ignore[attr-defined]
            if name.startswith("-") or not name.islower():
                continue
            assert command is not None, f"{document.name}: `{mention}`"
            told = [command]
            if hasattr(command, "commands"):
                assert len(words) == 1 or not words[1].islower() or set(words[1].split("|")) <= set(command.commands)
                told += command.commands.values()
            known = {word for part in told for parameter in part.params for word in parameter.opts}
            known |= {word for part in told for parameter in part.params for word in parameter.secondary_opts}
            wrong = set(OPTION.findall(mention)) - known - {"--help", "--debug"}
            assert name == "sim" or not wrong, f"{document.name}: `{mention}`: {wrong}"


def test_the_units_of_systemd_say_what_nanoraster_understands() -> None:
    (serve,) = _exec_starts("nanoraster.service")
    assert serve[0].endswith("/bin/nanoraster")
    understand(serve[1:])
    (guard,) = _exec_starts("nanoraster-guardian.service")
    assert guard[1:4] == ["-P", "-m", guardian.__name__]
    assert guardian.parse(guard[4:]).rig == Path("/etc/nanoraster/rig.toml")


def understand(words: list[str]) -> None:
    """Parse a command line as `nanoraster` does, and do nothing.

    Raises:
        TyperException: it would be refused.
    """
    if words[0] == "sim":
        parse_sim(words[1:])
        return
    group = COMMANDS
    while hasattr(group, "commands"):
        assert words[0] in group.commands, words
        group, words = group.commands[words[0]], words[1:]
    group.make_context("nanoraster", list(words))


def command_lines(document: Path) -> Iterator[str]:
    """Every call of nanoraster in the shell blocks; `...` is left to the reader."""
    for line in "\n".join(blocks(document, "sh")).replace("\\\n", " ").splitlines():
        for part in re.split(r"\s#\s|[;&|]+", line):
            words = re.sub(r"^\s*(sudo (-u \w+ )?)?([A-Z_]+=\S+ )*", "", part).split()
            if words and re.fullmatch(r"(\S*/bin/)?nanoraster", words[0]) and "..." not in words:
                yield " ".join(words)


def headings(document: Path) -> set[str]:
    """What GitHub makes of the headings."""
    text = prose(document)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in HEADING.findall(text)}


def _exec_starts(unit: str) -> list[list[str]]:
    lines = (DOCS / "systemd" / unit).read_text().splitlines()
    return [shlex.split(line.removeprefix("ExecStart=")) for line in lines if line.startswith("ExecStart=")]
