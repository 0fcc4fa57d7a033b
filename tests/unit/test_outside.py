"""What Keelman is made of: `make audit` says no more than it knows, `make sbom` all that is."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import audit
import lock
import pytest
import sbom

PYTHON = lock.ROOT / ".venv-audit" / "bin" / "python"
LOCKED = frozenset({"aiohttp==3.1", "yarl==1.2"})


# -- audit ---------------------------------------------------------------------------------------


def report(*packages: dict[str, Any]) -> str:
    """As pip-audit writes it."""
    return json.dumps({"dependencies": packages, "fixes": []})


def sound(name: str, version: str) -> dict[str, Any]:
    return {"name": name, "version": version, "vulns": []}


def vulnerable(name: str, version: str, *mended: str) -> dict[str, Any]:
    known = {"id": "PYSEC-2026-1", "fix_versions": list(mended), "aliases": ["CVE-2026-1"]}
    return {"name": name, "version": version, "vulns": [known]}


def skipped(name: str) -> dict[str, Any]:
    return {"name": name, "skip_reason": f"{name} is not there"}


ALL_SOUND = (sound("aiohttp", "3.1"), sound("yarl", "1.2"))
FOUND = "yarl 1.2: PYSEC-2026-1, CVE-2026-1; mended in 1.3"


@pytest.mark.parametrize(
    ("reports", "status", "words"),
    [
        ([report(*ALL_SOUND)], audit.FINE, "against any of the 2 packages"),
        ([report(ALL_SOUND[0]), report(ALL_SOUND[1])], audit.FINE, "against any of the 2"),
        ([report(ALL_SOUND[0], vulnerable("yarl", "1.2", "1.3"))], audit.VULNERABLE, FOUND),
        ([report(ALL_SOUND[0], vulnerable("yarl", "1.2"))], audit.VULNERABLE, "no version yet"),
        ([report(skipped("aiohttp"), vulnerable("yarl", "1.2", "1.3"))], audit.VULNERABLE, FOUND),
        ([report(skipped("aiohttp"), ALL_SOUND[1])], audit.NOT_AUDITED, "1 of 2"),
        ([report(skipped("aiohttp"), skipped("yarl"))], audit.NOT_AUDITED, "aiohttp is not there"),
        ([report(ALL_SOUND[0])], audit.NOT_AUDITED, "1 of 2"),
        ([report(ALL_SOUND[0], sound("yarl", "1.1"))], audit.NOT_AUDITED, "1 of 2"),
        ([report(*ALL_SOUND), ""], audit.FINE, "against any"),
        ([""], audit.NOT_AUDITED, "the network is down"),
        (["Traceback"], audit.NOT_AUDITED, "the network is down"),
        (["[]"], audit.NOT_AUDITED, "2 of 2"),
    ],
)
def test_all_is_well_only_where_every_package_was_looked_up(
    reports: list[str], status: int, words: str
) -> None:
    """Where one was not, it says so, with a status of its own where nothing was found."""
    told = [audit.read(text, "Traceback …\nthe network is down\n") for text in reports]
    ended, lines = audit.verdict(told, LOCKED)
    assert ended == status
    assert words in "\n".join(lines)
    assert ("NOT AUDITED" in "\n".join(lines)) == ("skip" in reports[0] or ended == 3)


@pytest.mark.parametrize(
    ("status", "options", "told"),
    [
        (audit.NOT_AUDITED, [], True),
        (audit.NOT_AUDITED, ["--timeout", "9"], True),
        (audit.NOT_AUDITED, ["--vulnerability-service", "osv"], False),
        (audit.NOT_AUDITED, ["--vulnerability-service=osv"], False),
        (audit.NOT_AUDITED, ["-s", "osv"], False),
        (audit.VULNERABLE, [], False),
        (audit.FINE, [], False),
    ],
)
def test_where_one_source_does_not_answer_another_is_named(
    status: int, options: list[str], told: bool
) -> None:
    """Unless one was chosen."""
    assert ("osv" in "\n".join(audit.advice(status, options))) == told


def test_everything_that_is_locked_is_audited() -> None:
    """Tools too: they run where the project is changed, with all rights of who changes it."""
    locked = audit.all_locked()
    for name in lock.LOCKS:
        assert {f"{pin.name}=={pin.version}" for pin in lock.read(name)} <= locked


# -- bill of materials -----------------------------------------------------------------------------

PIN = lock.Pin("yarl", "1.2", frozenset({"0" * 64}))


def component(pin: lock.Pin, **other: Any) -> dict[str, Any]:
    hashes = [{"alg": "SHA-256", "content": one} for one in sorted(pin.hashes)]
    return {
        "name": pin.name,
        "version": pin.version,
        "purl": f"pkg:pypi/{pin.name}@{pin.version}",
        "externalReferences": [{"type": "distribution", "hashes": hashes}],
        **other,
    }


def test_an_sbom_has_what_is_locked() -> None:
    """Name, version, purl and hashes."""
    assert sbom.differences({"components": [component(PIN)]}, [PIN]) == []


@pytest.mark.parametrize(
    "components",
    [
        [],
        [component(PIN, version="1.3")],
        [component(PIN, purl="pkg:pypi/other@1.2")],
        [component(PIN, externalReferences=[])],
        [component(PIN._replace(hashes=frozenset({"1" * 64})))],
        [component(PIN), component(PIN._replace(version="1.3"))],
    ],
    ids=["nothing", "another version", "another purl", "no hash", "another hash", "one too many"],
)
def test_an_sbom_with_anything_else_is_refused(components: list[dict[str, Any]]) -> None:
    """By the package's name."""
    assert sbom.differences({"components": components}, [PIN]) == ["yarl"]


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists(), reason="its tools are not here: `make sbom` brings them")
def test_the_sbom_of_today_is_whole_and_the_same_each_time() -> None:
    """And valid by CycloneDX's schema, or there would be none."""
    target, made = Path(sbom.TARGET), set()
    for _ in range(2):
        target.unlink(missing_ok=True)
        subprocess.run([PYTHON, "scripts/sbom.py"], cwd=lock.ROOT, check=True, capture_output=True)
        made.add(target.read_bytes())
    (document,) = (json.loads(one) for one in made)
    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["name"] == "keelman"
    assert {one["name"] for one in document["components"]} == {
        pin.name for pin in lock.read("requirements.txt")
    }
    assert str(lock.ROOT) not in json.dumps(document)
