"""Files that a recipe names by a pattern."""

from pathlib import Path


def paths_of(pattern: str, folder: Path) -> list[Path]:
    """Find files by their pattern, sorted; none is an error of whoever asked."""
    whole = folder / pattern
    return sorted(path for path in whole.parent.glob(whole.name) if path.is_file())
