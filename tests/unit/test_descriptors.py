"""As many descriptors as the process may have."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import resource
from keelman.descriptors import raise_most
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
raise_most()
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def after(soft: int, hard: int) -> str:
    code = CODE.format(soft=soft, hard=hard)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    assert after(256, 900) == "(900, 900)"


def test_what_is_enough_stays() -> None:
    assert after(900, 900) == "(900, 900)"
