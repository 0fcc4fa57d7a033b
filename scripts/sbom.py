"""scripts/sbom.py: what a worker is made of, as CycloneDX in build/keelman.cdx.json.

Every package of requirements.txt with its version, purl and hashes; no licences, and not who needs
whom. The same lock gives the same bytes: there is neither time nor serial number in it. It is
valid by CycloneDX's own schema, and has all that is locked, or nothing is written.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import lock

TARGET = lock.ROOT / "build" / "keelman.cdx.json"
MAKE = (
    *("-W", "ignore::UserWarning"),  # it says that who needs whom is not told
    *("-m", "cyclonedx_py", "requirements", "requirements.txt", "--pyproject", "pyproject.toml"),
    *("--of", "JSON", "--sv", "1.6", "--output-reproducible", "--validate"),
)


def told(document: dict[str, Any]) -> list[lock.Pin]:
    """The packages of an SBOM, as they would stand in a lock."""
    return [
        lock.Pin(one["name"], one["version"], frozenset(_hashes(one)))
        for one in document["components"]
        if one["purl"] == f"pkg:pypi/{one['name']}@{one['version']}"
    ]


def _hashes(component: dict[str, Any]) -> Iterator[str]:
    for reference in component.get("externalReferences", ()):
        for one in reference.get("hashes", ()):
            if one["alg"] == "SHA-256":
                yield one["content"]


def differences(document: dict[str, Any], pins: Sequence[lock.Pin]) -> list[str]:
    """The packages that are not in both alike."""
    return sorted({pin.name for pin in set(told(document)) ^ set(pins)})


def main() -> int:
    made = subprocess.run([sys.executable, *MAKE], cwd=lock.ROOT, capture_output=True, check=False)
    if made.returncode:
        print(made.stderr.decode(errors="replace").strip(), file=sys.stderr)
        return 1
    pins = lock.read("requirements.txt")
    if wrong := differences(json.loads(made.stdout), pins):
        print(f"keelman: the SBOM is not what is locked: {', '.join(wrong)}", file=sys.stderr)
        return 1
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(made.stdout)
    print(f"keelman: {len(pins)} packages in {TARGET.relative_to(lock.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
