"""Options from a TOML file: the section of a command, from the file that `--config` names.

Only a file that was named is read. One that happened to lie in the current directory could let
tasks mount what its writer likes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from cyclopts import App, ArgumentCollection, CycloptsError
from cyclopts.config import Dict

SECTIONS = {"manager", "worker"}
SOURCES = """\
Every option may also come from the environment, as in KEELMAN_DATA_DIR, or from the TOML file that
--config or KEELMAN_CONFIG names, as `data-dir = "…"` under `[worker]`. An option wins over the
environment, and that over the file."""


class FromFile:
    """Fills in what is not given yet, for a command that has an option `--config`.

    `overridden` tells of the file that was read last what the environment says otherwise: a shell
    that is set up for a client would make a worker show the client's certificate.
    """

    def __init__(self) -> None:
        self.overridden: tuple[str, ...] = ()

    def __call__(self, app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        config = next(argument for argument in arguments if "--config" in argument.names)
        self.overridden = ()
        if config.tokens:
            path = config.tokens[-1].value
            content = _known(_content(path))
            keys = _section(content, commands[-1], path)
            self.overridden = tuple(_overridden(keys, path, arguments))
            Dict(content, source=path)(app, commands, arguments)


from_file = FromFile()


def _overridden(keys: Iterable[str], path: str, arguments: ArgumentCollection) -> Iterator[str]:
    """What the environment says of a key that the file has, too, and no option."""
    given = {option: argument for argument in arguments for option in argument.names}
    for key in keys:
        argument = given.get(f"--{key}")
        if argument is not None and argument.tokens and argument.tokens[0].source == "env":
            yield f"{argument.tokens[0].keyword} is set, and {key} of {path} does not count"


def _known(content: dict[str, object]) -> dict[str, object]:
    """The file's sections; what stands in none of them would be passed over in silence."""
    for name in content.keys() - SECTIONS:
        words = " and ".join(f"[{section}]" for section in sorted(SECTIONS))
        raise CycloptsError(msg=f"--config: {name} is unknown; a file has the sections {words}")
    return content


def _section(content: dict[str, object], command: str, path: str) -> Iterable[str]:
    """The keys of a command's section, each written as its option is."""
    section = content.get(command)
    keys = section if isinstance(section, dict) else {}
    for key in keys:
        if "_" in key:
            words = f"{key} is unknown; it is {key.replace('_', '-')}, as the option"
            raise CycloptsError(msg=f"--config: {path}: {words}")
    return keys


def _content(path: str) -> dict[str, object]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CycloptsError(msg=f"--config: {error.strerror}: {path}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CycloptsError(msg=f"--config: {path} is no TOML: {error}") from error
