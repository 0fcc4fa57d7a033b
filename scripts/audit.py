"""scripts/audit.py [OPTIONS OF PIP-AUDIT]: what is known to be vulnerable of all that is locked.

Ends with 0 when every package was looked up and nothing is known, 1 when something is, and 3 when
not all could be looked up and nothing was found in the rest: then it is not known whether all is
well. pip-audit by itself ends with 0 for packages that its source does not know, and with 1 when
it reaches none.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import lock

FINE, VULNERABLE, NOT_AUDITED = 0, 1, 3


class Told(NamedTuple):
    """What pip-audit came to: packages it looked up, what is wrong with them, other trouble."""

    looked_up: frozenset[str] = frozenset()
    findings: tuple[str, ...] = ()
    trouble: tuple[str, ...] = ()


def read(report: str, complaint: str) -> Told:
    """What pip-audit says in JSON; without that it broke off, and its complaint tells why."""
    try:
        packages: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Told(trouble=tuple(complaint.strip().splitlines()[-1:]))
    found = [one for one in packages if "skip_reason" not in one]
    return Told(
        frozenset(f"{one['name']}=={one['version']}" for one in found),
        tuple(line for one in found for line in _findings(one)),
        tuple(one["skip_reason"] for one in packages if "skip_reason" in one),
    )


def _findings(package: dict[str, Any]) -> Iterator[str]:
    for one in package["vulns"]:
        names = ", ".join([one["id"], *one.get("aliases", ())])
        mended = ", ".join(one["fix_versions"]) or "no version yet"
        yield f"{package['name']} {package['version']}: {names}; mended in {mended}"


def advice(status: int, options: Sequence[str]) -> list[str]:
    """What to try where it is not known whether all is well."""
    if status != NOT_AUDITED or any("-service" in option or option == "-s" for option in options):
        return []
    return ['another source may answer: make audit ARGS="--vulnerability-service osv"']


def verdict(told: Sequence[Told], locked: frozenset[str]) -> tuple[int, list[str]]:
    """The exit status, and what to say."""
    findings = sorted({line for one in told for line in one.findings})
    missing = locked.difference(*(one.looked_up for one in told))
    if not findings and not missing:
        return FINE, [f"nothing is known against any of the {len(locked)} packages that are locked"]
    lines = list(findings)
    if missing:
        lines += [f"NOT AUDITED: {len(missing)} of {len(locked)} packages were not looked up:"]
        lines += [line for one in told for line in one.trouble[:1]][:1]
        lines += ["whether they are vulnerable is not known"]
    return VULNERABLE if findings else NOT_AUDITED, lines


def all_locked() -> frozenset[str]:
    """Each package that is locked, in each version."""
    return frozenset(f"{pin.name}=={pin.version}" for name in lock.LOCKS for pin in lock.read(name))


def ask(name: str, options: Sequence[str]) -> Told:
    """What pip-audit tells of one lock: two locks may have a package in two versions."""
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip"]
    command += ["--progress-spinner", "off", "--format", "json", "-r", str(lock.ROOT / name)]
    ended = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    return read(ended.stdout, ended.stderr)


def main() -> int:
    told = [ask(name, sys.argv[1:]) for name in lock.LOCKS]
    status, lines = verdict(told, all_locked())
    for line in lines + advice(status, sys.argv[1:]):
        print(f"keelman: {line}", file=sys.stderr if status else sys.stdout)
    return status


if __name__ == "__main__":
    sys.exit(main())
