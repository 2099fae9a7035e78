"""Scripts and styles come from this machine, and are what they are said to be."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from grabient_ops.errors import ConfigError
from grabient_ops.web import assets
from grabient_ops.web.assets import STATIC, VENDOR, Assets

if TYPE_CHECKING:
    from tests.web.conftest import Served

ROOT = Path(__file__).resolve().parents[2]
_OURS = [
    path for path in sorted(STATIC.rglob("*")) if path.is_file() and path.parent.name != "vendor"
]
_ADDRESS = re.compile(r"(?:https?:)?//[\w.-]+\.\w{2,}|@import|url\(\s*['\"]?\w+:")


def _lock() -> dict[str, Any]:
    lock = json.loads((ROOT / "assets" / "package-lock.json").read_text())
    packages: dict[str, Any] = lock["packages"]
    return packages


def test_what_npm_fetches_is_pinned_by_hash_and_by_no_address() -> None:
    fetched = {name: entry for name, entry in _lock().items() if name}

    assert "node_modules/htmx.org" in fetched
    for name, entry in fetched.items():
        assert entry["integrity"].startswith("sha512-"), name
        assert "resolved" not in entry, name


def test_the_scripts_in_the_package_are_those_of_the_lock() -> None:
    stamp = STATIC / "vendor" / ".lock"

    assert stamp.read_bytes() == (ROOT / "assets" / "package-lock.json").read_bytes()
    assert all((STATIC / "vendor" / name).stat().st_size > 1000 for name in VENDOR)


def test_nothing_fetched_is_kept_in_git() -> None:
    command = ["git", "-c", "safe.directory=*", "ls-files", "--", str(STATIC / "vendor")]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)

    assert listed.stdout == ""


def test_no_style_and_no_script_of_ours_names_another_host() -> None:
    allowed = "//www.w3.org"
    named = {path.name: _ADDRESS.findall(path.read_text()) for path in _OURS}

    assert "live.js" in named
    assert {
        name: hosts
        for name, found in named.items()
        if (hosts := [host for host in found if allowed not in host])
    } == {}


def test_colours_stand_in_one_file() -> None:
    colour = re.compile(r"#[0-9a-f]{3,8}\b|\b(?:rgb|hsl|oklch)a?\(", re.IGNORECASE)
    styles = [path for path in _OURS if path.suffix == ".css" and path.name != "tokens.css"]

    assert {path.name: colour.findall(path.read_text()) for path in styles} == {
        path.name: [] for path in styles
    }


def test_the_address_of_a_file_changes_with_it_and_may_be_kept(served: "Served") -> None:
    address = Assets().address("css/base.css")
    response = served.open(address)
    plain = served.open("/static/css/base.css")

    assert re.fullmatch(r"/static/css/base\.css\?[0-9a-f]{12}", address)
    assert "immutable" in response.headers["cache-control"]
    assert plain.headers["cache-control"] == "no-cache"
    assert response.read() == plain.read()


def test_without_its_scripts_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "VENDOR", ("not-there.js",))

    with pytest.raises(ConfigError, match=r"not-there\.js .*`make setup`"):
        Assets()


def test_set_up_without_a_registry_ends_with_a_sentence(tmp_path: Path) -> None:
    script = (
        "import runpy, pathlib; build = runpy.run_path('assets/build.py');"
        f"build['fetch'].__globals__['VENDOR'] = pathlib.Path({str(tmp_path / 'vendor')!r});"
        "build['fetch']()"
    )
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "NPM_CONFIG_FETCH_RETRIES": "0",
        "NPM_CONFIG_REGISTRY": "http://127.0.0.1:9/",
    }  # fmt: skip
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode
    assert "set-up needs its registry, or the one that NPM_CONFIG_REGISTRY names" in done.stderr
    assert not (tmp_path / "vendor").exists()
