"""`keelman`: the command line. It alone reads the environment, asks the clock and makes ids.

One module per group of commands; here they are put together, and every error becomes one line on
stderr and an exit status.
"""

from __future__ import annotations

import os
import sys

from cyclopts import App, CycloptsError, Group
from cyclopts.config import Env

from keelman.cli import (
    backup,
    completion,
    export,
    follow,
    node,
    passing,
    run,
    stats,
    stop,
    tables,
    why,
)
from keelman.cli.config import SOURCES, from_file
from keelman.cli.failures import (
    EXIT_STATUSES,
    INTERRUPTED,
    USAGE,
    advised,
    complain,
    exit_status,
)
from keelman.errors import KeelmanError

app = App(
    name="keelman",
    help="Run containers, and be told the truth about them.",
    help_epilogue=EXIT_STATUSES,
    result_action="return_value",
    exit_on_error=False,
    print_error=False,
    suppress_keyboard_interrupt=False,
)
_TASKS = Group("Tasks", sort_key=1)
_MACHINES = Group("Machines", sort_key=2)
_MACHINE = Group("On this machine", sort_key=3)

app.command(run.run, group=_TASKS, usage="Usage: keelman run [OPTIONS] IMAGE [COMMAND...]")
app.command(tables.ps, group=_TASKS)
app.command(tables.inspect, group=_TASKS)
app.command(why.why, group=_TASKS)
app.command(follow.logs, group=_TASKS)
app.command(stop.stop, group=_TASKS, usage="Usage: keelman stop [OPTIONS] ID...")
app.command(follow.events, group=_TASKS)
app.command(export.export, group=_TASKS)
app.command(stats.stats, group=_MACHINES)
app.command(  # by name: only a worker loads what a worker needs
    "keelman.cli.worker:worker",
    name="worker",
    help=f"Run a worker on this machine; its containers run on without it.\n\n{SOURCES}",
    group=_MACHINE,
    config=[Env("KEELMAN_", command=False), from_file],
)
app.command(  # by name as well
    "keelman.cli.manager:manager",
    name="manager",
    help=f"Run a manager, which places tasks on workers; they run on without it.\n\n{SOURCES}",
    group=_MACHINE,
    config=[Env("KEELMAN_", command=False), from_file],
)
app.command(  # by name: only who replays loads the rules
    "keelman.cli.replay:replay",
    name="replay",
    help="Ask the rules again what a worker asked them, and show where they answer differently.",
    group=_MACHINE,
    usage="Usage: keelman replay [OPTIONS] FILE...",
)
app.command(  # by name as well: nothing else on the command line speaks to an engine
    "keelman.cli.verify:verify",
    name="verify",
    help="Audit a worker of this machine: its record and its engine, against what it promises.",
    group=_MACHINE,
)
app.command(backup.backup, group=_MACHINE)
app.command(backup.restore, group=_MACHINE)
app.command(completion.of(app), group=_MACHINE)

_node = App(name="node", help="The nodes of a manager.", group=_MACHINES)
_node.command(node.add, usage="Usage: keelman node add [OPTIONS] NAME URL")
_node.command(node.invite, usage="Usage: keelman node invite [OPTIONS] [NAME]")
for _command in (node.ls, node.inspect, node.cordon, node.uncordon, node.drain, node.rm):
    _node.command(_command)
app.command(_node)

_certs = App(name="certs", help="Certificates for manager and workers.", group=_MACHINE)
for _name, _help in {  # by name, too: `keelman ps` need not load what makes keys
    "init": "Make a CA: ca.pem, which all machines get, and ca.key, which stays.",
    "issue": "Make a key and a certificate for a manager or a worker, its hosts, and loopback.",
    "show": "Show them, and until when. Status 1 if one has less than 30 days, or a file is wrong.",
    "retire": "End the change of a CA: only the one that signs now is trusted from here on.",
}.items():
    _certs.command(f"keelman.cli.certs:{_name}", name=_name, help=_help)
app.command(_certs)


def main() -> None:
    """The console script: runs the command and ends the process with its status."""
    sys.exit(status(sys.argv[1:]))


def status(words: list[str]) -> int:
    """The exit status of a command line; what failed is told in one line on stderr."""
    try:
        return app(passing.guarded(words, app["run"].assemble_argument_collection())) or 0
    except CycloptsError as error:
        return complain(str(error), USAGE)
    except KeelmanError as error:
        return complain(advised(error), exit_status(error))
    except BrokenPipeError:
        return _reader_left()
    except OSError as error:
        return complain(str(error), exit_status(error))
    except KeyboardInterrupt:
        return INTERRUPTED


def _reader_left() -> int:
    """Whoever read our output went away (`| head`): quiet, and so is the flush at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
