"""What the tests of the pages share: the checkout and its files."""

import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def files(root: Path) -> list[Path]:
    """Every file that is tracked, or would be with the next `git add`."""
    # The checkout may belong to another user, as in a container.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout.decode()
    paths = [root / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file()]


@pytest.fixture(scope="session")
def pages(root: Path, files: list[Path]) -> list[Path]:
    """Every Markdown page that a person reads; the prompts in `src` are for models."""
    source = root / "src"
    return [path for path in files if path.suffix == ".md" and source not in path.parents]
