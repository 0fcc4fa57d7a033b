"""Options from a TOML file: the section of a command, from the file that `--config` names.

Only a file that was named is read. One that happened to lie in the current directory could let
tasks mount what its writer likes.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from cyclopts import App, ArgumentCollection, CycloptsError
from cyclopts.config import Dict

SECTIONS = {"manager", "worker"}
SOURCES = """\
Every option may also come from the environment, as in KEELMAN_DATA_DIR, or from the TOML file that
--config or KEELMAN_CONFIG names, as `data-dir = "…"` under `[worker]`. An option wins over the
environment, and that over the file."""


def from_file(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Fills in what is not given yet, for a command that has an option `--config`."""
    config = next(argument for argument in arguments if "--config" in argument.names)
    if config.tokens:
        path = config.tokens[-1].value
        Dict(_known(_content(path)), source=path)(app, commands, arguments)


def _known(content: dict[str, object]) -> dict[str, object]:
    """The file's sections; what stands in none of them would be passed over in silence."""
    for name in content.keys() - SECTIONS:
        words = " and ".join(f"[{section}]" for section in sorted(SECTIONS))
        raise CycloptsError(msg=f"--config: {name} is unknown; a file has the sections {words}")
    return content


def _content(path: str) -> dict[str, object]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CycloptsError(msg=f"--config: {error.strerror}: {path}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CycloptsError(msg=f"--config: {path} is no TOML: {error}") from error
