"""Which package may import which: the table of the design, as import-linter reads it from pyproject.toml."""

import subprocess
import sys
from pathlib import Path


def test_imports_point_one_way() -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    found = subprocess.run([linter], capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False)
    assert found.returncode == 0, found.stdout
