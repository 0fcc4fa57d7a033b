"""`keelman completion`: what a shell needs to complete the words of a `keelman` line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.completion import ShellDetectionError, detect_shell

from keelman.cli.asking import flag
from keelman.cli.failures import Usage

Shell = Literal["bash", "zsh", "fish"]
_Shell = Annotated[
    Shell | None, Parameter(name="SHELL", help="Usually the one that this is typed in.")
]
_Install = Annotated[bool, flag("Put it where the shell looks, and say where.", "--install")]


def of(app: App) -> Callable[..., None]:
    """The command `completion` of an app."""

    def completion(shell: _Shell = None, /, *, install: _Install = False) -> None:
        """Print the script that completes commands, options, and the names of tasks.

        With --install it is kept in your home, and your shell's start-up file reads it.
        """
        name = shell or _detected()
        if install:
            sys.stdout.write(f"{app.install_completion(shell=name)}\n")
        else:
            sys.stdout.write(app.generate_completion(shell=name) + "\n")

    return completion


def _detected() -> Shell:
    wrong = Usage("name the shell: keelman completion bash, zsh or fish")
    try:
        found = detect_shell()
    except ShellDetectionError as error:
        raise wrong from error
    if found == "powershell":
        raise wrong
    return found
