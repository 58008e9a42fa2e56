"""README.md and docs/, taken apart as far as their tests need it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def documents() -> list[Path]:
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def blocks(document: Path, language: str) -> list[str]:
    """The fenced blocks in a language."""
    return [text for found, text in FENCE.findall(document.read_text(encoding="utf-8")) if found == language]


def prose(document: Path) -> str:
    """What stands outside of fenced blocks."""
    return FENCE.sub("", document.read_text(encoding="utf-8"))
