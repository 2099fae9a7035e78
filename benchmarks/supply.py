"""What the program is made of: a list of all pins (CycloneDX), and what is known against them.

`python -m benchmarks.supply` writes the list, and asks the OSV database about every pin. It ends
with 1 when something is known; where the network does not let it ask, it says so and ends with 0.
"""

import json
import re
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
_ROOT = Path(__file__).resolve().parents[1]
_OSV = "https://api.osv.dev/v1/querybatch"
_CALL_S = 15.0
_ASK_S = 40.0
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_ITSELF = "grabient-ops (pyproject.toml)"
_NOT_A_PACKAGE = ("-c ", "-r ")


class Pin(NamedTuple):
    """One version of one package.

    Attributes:
        hashes: SHA-256 of the files that set-up takes.
        wanted_by: names of the packages that need it, or of ours.
    """

    name: str
    version: str
    hashes: tuple[str, ...]
    wanted_by: tuple[str, ...]

    @property
    def purl(self) -> str:
        """The package's address, as databases of vulnerabilities know it."""
        return f"pkg:pypi/{self.name}@{self.version}"


def read_pins(text: str) -> list[Pin]:
    """Return the pins of a requirements file that `uv pip compile` has written."""
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    return [
        Pin(found[1].lower(), found[2], tuple(_HASH.findall(block)), tuple(_wanted_by(block)))
        for block in blocks
        if (found := _PIN.match(block))
    ]


def find_shipped(pins: Iterable[Pin]) -> set[str]:
    """Return the names of what the program needs to run; the rest is for building and testing."""
    pins = list(pins)
    shipped = {_ITSELF}
    while more := {p.name for p in pins if shipped.intersection(p.wanted_by)} - shipped:
        shipped |= more
    return shipped - {_ITSELF}


def make_sbom(pins: Sequence[Pin]) -> dict[str, Any]:
    """Return the pins as a CycloneDX 1.6 document."""
    shipped = find_shipped(pins)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "grabient-ops"}},
        "components": [
            {
                "type": "library",
                "bom-ref": pin.purl,
                "name": pin.name,
                "version": pin.version,
                "purl": pin.purl,
                "scope": "required" if pin.name in shipped else "excluded",
                "properties": [{"name": "sha256", "value": value} for value in pin.hashes],
            }
            for pin in pins
        ],
    }


def ask_osv(pins: Sequence[Pin]) -> dict[str, list[str]]:
    """Return what is known against pins, as ids by address; nothing for those without.

    Raises:
        OSError: the database cannot be reached.
        ValueError: something else answered in its place.
    """
    question = {"queries": [{"package": {"purl": pin.purl}} for pin in pins]}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(_OSV, json.dumps(question).encode(), headers)
    with urllib.request.urlopen(request, timeout=_CALL_S) as answer:  # noqa: S310 - https
        answered = json.load(answer)
    if not isinstance(answered, dict) or "results" not in answered:
        raise ValueError("what answered is not the database")
    results = answered["results"]
    known = zip(pins, results, strict=True)
    return {
        pin.purl: [vuln["id"] for vuln in result["vulns"]]
        for pin, result in known
        if result.get("vulns")
    }


def within(seconds: float, work: Callable[[], T]) -> T:
    """Return what some work returns, or raise what it raises.

    Raises:
        TimeoutError: it takes longer; looking a name up has no end of its own.
    """
    done: list[T] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            done.append(work())
        except Exception as error:  # noqa: BLE001 - raised again below
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError(f"no answer in {seconds:g} s")
    return done[0]


def read_all_pins(root: Path = _ROOT) -> list[Pin]:
    """Return every pin of the tree, once."""
    files = sorted((root / "requirements").glob("*.txt"))
    pins = [pin for file in files for pin in read_pins(file.read_text())]
    return sorted({pin.purl: pin for pin in reversed(pins)}.values())


def _wanted_by(block: str) -> list[str]:
    notes = re.findall(r"^ +#(?: via)? +(\S.*)$", block, re.MULTILINE)
    return [note for note in notes if note != "via" and not note.startswith(_NOT_A_PACKAGE)]


def main() -> int:
    """Write the list, and report what is known."""
    pins = read_all_pins()
    target = _ROOT / "dist" / "sbom.cdx.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(make_sbom(pins), indent=1) + "\n")
    print(f"{len(pins)} pins are in {target.relative_to(_ROOT)}")
    try:
        known = within(_ASK_S, lambda: ask_osv(pins))
    except (OSError, ValueError) as error:
        print(f"not audited: the OSV database cannot be asked from here ({error})")
        return 0
    for purl, ids in known.items():
        print(f"{purl}: {', '.join(ids)}")
    print(f"{len(known)} of {len(pins)} pins have known vulnerabilities")
    return 1 if known else 0


if __name__ == "__main__":
    sys.exit(main())
