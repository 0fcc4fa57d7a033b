"""What keeps the code as the design has it, beyond import-linter's layers (`make check`).

PURE modules do no I/O and ask neither time, chance nor environment; modules and functions stay
small; whoever catches everything says why.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src" / "keelman"
MODULES = {str(path.relative_to(SOURCES)): path for path in sorted(SOURCES.rglob("*.py"))}

LINES_OF_A_MODULE = 300
LINES_OF_A_FUNCTION = 40

# What the design calls PURE. A module may call itself so beyond these; these must.
PURE_BY_DESIGN = {
    *("errors.py", "task.py", "spec.py", "params.py", "wire.py", "seen.py", "policy.py"),
    *("moves.py", "ladder.py", "reconcile.py", "admission.py", "access.py"),
    *("runtime/__init__.py", "runtime/container.py"),
    *("manager/constraints.py", "manager/fitting.py", "manager/scheduler.py"),
}

# What a PURE module may take from where; None: anything.
ALLOWED: dict[str, set[str] | None] = {
    "__future__": {"annotations"},
    "bisect": None,
    "base64": {"b64decode", "urlsafe_b64encode"},
    "collections.abc": None,
    "contextlib": {"AbstractAsyncContextManager"},
    "datetime": {"UTC", "datetime"},
    "enum": None,
    "fnmatch": {"fnmatchcase"},
    "hashlib": {"blake2b", "sha256"},
    "hmac": {"compare_digest"},
    "ipaddress": {"ip_address"},
    "itertools": None,
    "msgspec": None,
    "posixpath": {"normpath"},
    "re": None,
    "shlex": {"quote"},
    "signal": {"Signals"},
    "typing": None,
    "uuid": {"UUID"},
}

# Methods of allowed things that ask the time, and built-ins that do I/O or differ by process.
IMPURE_METHODS = {"now", "today", "utcnow", "astimezone", "getnode"}
IMPURE_NAMES = {
    *("open", "print", "input", "breakpoint", "exec", "eval", "compile", "__import__"),
    *("id", "hash", "globals", "vars"),
}


def source_of(name: str) -> str:
    return MODULES[name].read_text(encoding="utf-8")


def is_pure(source: str) -> bool:
    """Whether a module calls itself PURE."""
    return "PURE" in (ast.get_docstring(ast.parse(source)) or "")


PURE = sorted(name for name in MODULES if is_pure(source_of(name)))
PURE_NAMES = {
    ".".join(["keelman", *Path(name).with_suffix("").parts]).removesuffix(".__init__")
    for name in PURE
}


# -- purity --------------------------------------------------------------------------------------


def impurities(source: str) -> list[str]:
    """What a PURE module does that it must not, with the line."""
    return [f"line {line}: {words}" for line, words in _impurities(ast.parse(source))]


def _impurities(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from _imported(node.lineno, tree, [alias.name for alias in node.names])
        elif isinstance(node, ast.ImportFrom):
            yield from _taken(node.lineno, node.module or "", [alias.name for alias in node.names])
        elif (words := _deed(node)) is not None:
            yield getattr(node, "lineno", 0), words


def _deed(node: ast.AST) -> str | None:
    match node:
        case ast.Attribute(attr=attr) if attr in IMPURE_METHODS:
            return f"asks .{attr}"
        case ast.Name(id=name, ctx=ast.Load()) if name in IMPURE_NAMES:
            return f"uses {name}"
        case ast.Call(func=ast.Attribute(attr="fromtimestamp"), args=[_], keywords=[]):
            return "fromtimestamp without a zone asks for the machine's"
        case ast.Await() | ast.AsyncFor() | ast.AsyncWith():
            return "waits"
        case ast.Global():
            return "changes what is global"
        case _:
            return None


def _imported(line: int, tree: ast.Module, modules: list[str]) -> Iterator[tuple[int, str]]:
    """`import x`: x must be allowed, and what is used of it."""
    for module in modules:
        if module not in ALLOWED:
            yield line, f"imports {module}"
            continue
        allowed = ALLOWED[module]
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(value=ast.Name(id=name), attr=attr) if name == module:
                    if allowed is not None and attr not in allowed:
                        yield node.lineno, f"uses {module}.{attr}"


def _taken(line: int, module: str, names: list[str]) -> Iterator[tuple[int, str]]:
    """`from x import y`: of ours only what is PURE, of others only what is allowed."""
    for name in names:
        if module == "keelman" or module.startswith("keelman."):
            if not {module, f"{module}.{name}"} & PURE_NAMES:
                yield line, f"imports {module}.{name}, which is not PURE"
        elif module not in ALLOWED:
            yield line, f"imports {module}"
        elif (allowed := ALLOWED[module]) is not None and name not in allowed:
            yield line, f"imports {module}.{name}"


def test_the_modules_that_decide_are_pure() -> None:
    """They say so, and so are held to it."""
    assert set(PURE) >= PURE_BY_DESIGN


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_does_nothing_and_asks_nothing(name: str) -> None:
    """No I/O; time, chance and ids come in as arguments."""
    assert impurities(source_of(name)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import os",
        "import time",
        "import asyncio",
        "import random as dice",
        "from pathlib import Path",
        "from uuid import UUID, uuid4",
        "from datetime import datetime\nat = datetime.now()",
        "from datetime import datetime\nat = datetime.fromtimestamp(0)",
        "import signal\nsignal.signal(15, print)",
        "import signal\nsignal.raise_signal(15)",
        "import hashlib\nhashlib.file_digest",
        "from keelman.store import Store",
        "from keelman import store",
        "import keelman.store",
        "def f():\n    return open('/etc/hostname')",
        "def f(text):\n    return hash(text)",
        "async def f(x):\n    await x",
        "def f():\n    import socket",
    ],
)
def test_what_is_impure_is_found(source: str) -> None:
    """The check above can fail."""
    assert impurities(source) != []


@pytest.mark.parametrize(
    "source",
    [
        "from keelman import moves, policy",
        "from keelman.task import Task",
        "from uuid import UUID",
        "from datetime import UTC, datetime\nat = datetime.fromtimestamp(0, UTC)",
        "import signal\nknown = list(signal.Signals)",
        "def f(now, id):\n    return now",
    ],
)
def test_what_is_pure_passes(source: str) -> None:
    """And not for everything."""
    assert impurities(source) == []


# -- size ----------------------------------------------------------------------------------------


def long_functions(source: str) -> list[str]:
    return [
        f"{node.name}: {length} lines"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > LINES_OF_A_FUNCTION
    ]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_fits_on_a_few_screens(name: str) -> None:
    """300 lines at most."""
    assert len(source_of(name).splitlines()) <= LINES_OF_A_MODULE


@pytest.mark.parametrize("name", MODULES)
def test_a_function_fits_on_a_screen(name: str) -> None:
    """40 lines at most, its docstring included."""
    assert long_functions(source_of(name)) == []


def test_a_long_function_is_found() -> None:
    """The check above can fail, and not a line too early."""
    fits = "def f():\n" + "    pass\n" * (LINES_OF_A_FUNCTION - 1)
    assert long_functions(fits) == []
    assert long_functions(fits + "    pass\n") == ["f: 41 lines"]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_opens_with_what_it_is_for(name: str) -> None:
    """In its docstring; only the package's own file may be as short as it likes."""
    assert ast.get_docstring(ast.parse(source_of(name)))


# -- catching everything -------------------------------------------------------------------------

EVERYTHING = {"Exception", "BaseException"}


def silent_catches(source: str) -> list[int]:
    """Lines that catch everything and give no reason in a comment of their own."""
    lines = source.splitlines()
    return [
        first
        for first, last in _catches(ast.parse(source))
        if not any(_reason_in(line) for line in lines[first - 1 : last])
    ]


def _catches(tree: ast.Module) -> Iterator[tuple[int, int]]:
    for node in ast.walk(tree):
        match node:
            case ast.ExceptHandler(type=caught) if _is_everything(caught):
                yield node.lineno, node.end_lineno or node.lineno
            case ast.Call(func=ast.Attribute(attr="suppress") | ast.Name(id="suppress")):
                if any(_is_everything(caught) for caught in node.args):
                    yield node.lineno, node.end_lineno or node.lineno
            case _:
                pass


def _is_everything(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    return any(isinstance(node, ast.Name) and node.id in EVERYTHING for node in ast.walk(caught))


def _reason_in(line: str) -> bool:
    """Whether a line has a comment that is more than a linter's code."""
    comments = re.findall(r"#\s*([^#]*)", line)
    return any(words and not words.startswith(("noqa", "type:")) for words in comments)


@pytest.mark.parametrize("name", MODULES)
def test_whoever_catches_everything_says_why(name: str) -> None:
    """In a comment beside it."""
    assert silent_catches(source_of(name)) == []


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    f()\nexcept Exception:\n    pass",
        "try:\n    f()\nexcept:\n    pass",
        "try:\n    f()\nexcept (OSError, BaseException):  # noqa: BLE001\n    pass",
        "with contextlib.suppress(Exception):\n    f()",
    ],
)
def test_a_silent_catch_is_found(source: str) -> None:
    """The check above can fail."""
    assert silent_catches(source) != []


def test_a_catch_with_its_reason_passes() -> None:
    """Beside the linter's code."""
    source = "try:\n    f()\nexcept Exception:  # noqa: BLE001  # the last net\n    pass"
    assert silent_catches(source) == []
