"""The docs say what the code does: nothing left out, nothing made up."""

from __future__ import annotations

import ast
import itertools
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cyclopts import App

from keelman import Client, ManagerClient, answers, bounds, errors, listing, output
from keelman.allowed import Allowed
from keelman.cli import app
from keelman.cli.failures import EXIT_STATUSES
from keelman.description import EngineReport, WorkerReport
from keelman.errors import KeelmanError
from keelman.explanation import Asked, Block, Blocker, Explanation
from keelman.manager import handlers as manager_handlers
from keelman.manager.reasons import Blocked
from keelman.node_report import NodeIn, NodeReport
from keelman.routes import Parameter
from keelman.task import EDGES, HostPort, Mount, Reason, State
from keelman.wire import (
    UNSAID,
    DryRunReport,
    ErrorReport,
    TaskEventIn,
    TaskIn,
    TaskReport,
    TransitionReport,
    decode_event,
)
from keelman.worker.handlers import CONTRACT, ROUTES
from keelman.worker.serve import LOCK_PLACES
from tests.api.attacks import ATTACKS

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src" / "keelman"
PAGES = [ROOT / f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING", "SECURITY")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
EXAMPLES = sorted((ROOT / "examples").glob("*.json"))

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


# -- reading a page ------------------------------------------------------------------------------


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def tables(page: str, heading: str) -> list[list[list[str]]]:
    """The tables below a heading, up to the next: rows of cells, without their heads."""
    _, _, rest = f"\n{text_of(page)}".partition(f"\n{heading}\n")
    assert rest, f"{page} has no heading {heading!r}"
    here = re.split(r"\n#+ ", rest)[0]
    blocks = re.findall(r"(?:^\|.*\|\n)+", here + "\n", re.MULTILINE)
    return [[cells(line) for line in block.splitlines()[2:]] for block in blocks]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def names(rows: list[list[str]], column: int = 0) -> list[str]:
    """What stands in backticks in a column."""
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row[column])]


def same(documented: list[str], real: set[str]) -> None:
    """Each thing once, none missing, none that is not there."""
    assert sorted(documented) == sorted(real)


# -- the API -------------------------------------------------------------------------------------


def test_every_route_is_documented_in_the_order_of_its_table() -> None:
    """And no route that does not exist."""
    documented = names(tables("docs/api.md", "## Routes")[0])
    assert documented == [f"{route.method} {route.path}" for route in ROUTES]


def test_every_parameter_is_documented_with_its_route() -> None:
    """And none that the route would refuse."""
    rows = tables("docs/api.md", "## Routes")[0]
    for row, route in zip(rows, ROUTES, strict=True):
        same(names([row], column=1), {one.name for one in route.parameters or ()})


def test_every_status_is_documented_with_its_route() -> None:
    """As the route table, and so the OpenAPI document, has them."""
    rows = tables("docs/api.md", "## Routes")[0]
    for row, route in zip(rows, ROUTES, strict=True):
        documented = re.findall(r"\b[2-5]\d\d\b", row[2])
        assert sorted(map(int, documented)) == sorted(route.statuses), route.path


def strangers(method: str, path: str) -> set[str]:
    """What a route answers only to one who is not let in: the docs say so once for all."""
    (route,) = [one for one in ROUTES if (one.method.lower(), one.path) == (method, path)]
    return set() if route.open else {"401", "403"} - {str(status) for status in route.statuses}


def test_the_openapi_document_has_what_the_docs_have() -> None:
    """Routes, parameters and statuses; beside them the ID in the path, bugs, and strangers."""
    told = {
        f"{method.upper()} {path}": (
            {one["name"] for one in operation["parameters"]} - {"taskID"},
            set(operation["responses"]) - {"default"} - strangers(method, path),
        )
        for path, operations in json.loads(CONTRACT)["paths"].items()
        for method, operation in operations.items()
    }
    assert told == {
        names([row])[0]: (set(names([row], 1)), set(re.findall(r"\b[2-5]\d\d\b", row[2])))
        for row in tables("docs/api.md", "## Routes")[0]
    }


def test_every_route_of_a_manager_is_documented() -> None:
    """In the order of its table, with its parameters and statuses."""
    rows = tables("docs/manager.md", "## Routes")[0]
    assert names(rows) == [f"{route.method} {route.path}" for route in manager_handlers.ROUTES]
    for row, route in zip(rows, manager_handlers.ROUTES, strict=True):
        same(names([row], column=1), {one.name for one in route.parameters or ()})
        documented = re.findall(r"\b[2-5]\d\d\b", row[2])
        assert sorted(map(int, documented)) == sorted(route.statuses), route.path


def test_what_a_manager_says_of_a_node_is_documented() -> None:
    """And what it is asked for, and what a task may wait for there."""
    same(names(tables("docs/manager.md", "### A node, asked for")[0]), wire_names(NodeIn))
    same(names(tables("docs/manager.md", "### A node, told of")[0]), wire_names(NodeReport))
    same(names(tables("docs/manager.md", "## Routes")[1]), {str(one) for one in Blocked})


@pytest.mark.parametrize(
    ("heading", "parameters"),
    [("## Read a task's output", output.PARAMETERS), ("## List tasks", listing.PARAMETERS)],
)
def test_many_parameters_have_a_table(heading: str, parameters: tuple[Parameter, ...]) -> None:
    """In the order in which the route has them."""
    assert names(tables("docs/api.md", heading)[0]) == [one.name for one in parameters]


def wire_names(*types: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for kind in types for field in msgspec.structs.fields(kind)}


def test_every_field_of_a_task_is_documented_once() -> None:
    """What is asked for, what a manager adds, and what became of it."""
    wanted, from_manager = tables("docs/api.md", "### What is asked for")
    (became,) = tables("docs/api.md", "### What became of it")
    same(names(wanted + from_manager + became), wire_names(TaskIn, TaskReport))


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("## TaskEvent", TaskEventIn),
        ("### Mount", Mount),
        ("## Try it without running it", DryRunReport),
        ("## Why it is where it is", Explanation),
        ("## See the worker", WorkerReport),
        ("## Transition", TransitionReport),
    ],
)
def test_every_field_is_documented(heading: str, kind: type[msgspec.Struct]) -> None:
    """Of everything that crosses the wire beside a Task."""
    same(names(tables("docs/api.md", heading)[0]), wire_names(kind))


def test_what_a_task_may_wait_for_is_documented() -> None:
    """Every code of an Explanation, and the fields inside of it in the rows of their objects."""
    fields, codes = tables("docs/api.md", "## Why it is where it is")
    same([names([row])[0] for row in codes], {str(one) for one in Blocker if one})
    rows = {names([row])[0]: set(names([row], column=1)) for row in fields}
    assert wire_names(Block) <= rows["Blocked"]
    assert wire_names(Asked) <= rows["Wish"]


def test_the_waits_that_operators_are_told_of_are_those_there_are() -> None:
    """Each with what to do about it."""
    rows = tables("docs/operations.md", "## Why does it not start?")[0]
    told = {words.partition(":")[0] for row in rows[:-1] for words in names([row])[:1]}
    assert told == {str(one) for one in Blocker if one}


def test_the_fields_of_a_host_port_are_named() -> None:
    """In the row of HostPorts."""
    (row,) = [
        row for row in tables("docs/api.md", "### What became of it")[0] if "`HostPorts`" in row
    ]
    assert wire_names(HostPort) <= set(names([row], column=1))


def test_what_a_worker_tells_of_its_engine_and_allows_is_named() -> None:
    """In the rows of those."""
    rows = {
        names([row])[0]: names([row], 1) for row in tables("docs/api.md", "## See the worker")[0]
    }
    assert wire_names(EngineReport) <= set(rows["Engine"])
    assert wire_names(Allowed) <= set(rows["Allowed"])


def error_classes() -> Iterator[type[KeelmanError]]:
    return (
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, KeelmanError)
    )


def test_every_error_code_is_documented_once() -> None:
    """Those of answers with their status, those that no answer has apart."""
    answers, others = tables("docs/api.md", "## Errors")
    same(names(answers) + names(others), {kind.code for kind in error_classes()})


def test_error_codes_have_the_status_that_is_documented() -> None:
    """A code may come from several classes; the one that is answered has this status."""
    real = {(kind.code, kind.status) for kind in error_classes()}
    answers, _ = tables("docs/api.md", "## Errors")
    assert {(names([row])[0], int(row[1])) for row in answers} <= real


def test_every_status_of_a_route_belongs_to_an_error() -> None:
    """Beside those of success."""
    answers, _ = tables("docs/api.md", "## Errors")
    known = {row[1] for row in answers} | {"200", "201", "204"}
    for row in tables("docs/api.md", "## Routes")[0]:
        assert set(re.findall(r"\b[2-5]\d\d\b", row[2])) <= known


def shown(name: str, value: float) -> str:
    """A bound as people read it."""
    match name.rsplit("_", 1)[-1]:
        case "SECONDS":
            return f"{value:g} s"
        case "BYTES" if value % 2**20 == 0:
            return f"{value // 2**20:g} MiB"
        case "BYTES" if value % 2**16 == 0:
            return f"{value // 2**10:g} KiB"
        case "BYTES":
            return f"{value} bytes"
        case _:
            return str(value)


def test_every_limit_is_documented_in_the_order_of_its_table() -> None:
    real = [shown(name, value) for name, value in vars(bounds).items() if name.isupper()]
    assert [row[1] for row in tables("docs/api.md", "## Limits")[0]] == real
    stay = bounds.LISTENERS_MOST + bounds.LOG_READERS_MOST + bounds.WAITERS_MOST
    assert f"{bounds.CONNECTIONS_MOST - stay} connections are left" in text_of("docs/api.md")


def test_the_attacks_that_are_told_of_are_those_that_are_tried() -> None:
    """Each with its answer, in the order of their tables."""
    page, _, _ = text_of("docs/security.md").partition("\n### Connections\n")
    rows = re.findall(r"^\| ([^|]+) \| (closed|[\d ]+) \|$", page, re.MULTILINE)
    assert rows == [(attack.name, attack.answer) for attack in ATTACKS]


# -- states --------------------------------------------------------------------------------------


def test_every_state_is_documented_with_its_number() -> None:
    """In the order of their numbers."""
    rows = tables("docs/states.md", "# States")[0]
    documented = [(names([row])[0], int(row[1])) for row in rows]
    assert documented == [(state.name, state.value) for state in State]


def test_every_edge_is_documented_and_no_other() -> None:
    """The table is the one in the code."""
    rows = tables("docs/states.md", "## Edges")[0]
    edges = [f"{before} {after}" for before, after in zip(names(rows), names(rows, 1), strict=True)]
    same(edges, {f"{before.name} {after.name}" for before, after in EDGES})


def test_every_reason_is_documented() -> None:
    """With what to do about it."""
    rows = tables("docs/states.md", "## Reasons")[0]
    documented = [names([row])[0] for row in rows]
    same(documented, {str(reason) for reason in Reason if reason})
    assert all(row[2] for row in rows)


# -- the command line, the log -------------------------------------------------------------------


def worker_options() -> dict[str, tuple[str, ...]]:
    """Each option of `keelman worker`, and its environment variables."""
    arguments = app["worker"].assemble_argument_collection()
    told = {}
    for argument in arguments:
        for option in argument.names:
            if option.startswith("--"):
                own = "KEELMAN_" + option.removeprefix("--").replace("-", "_").upper()
                told[option] = tuple(argument.parameter.env_var or (own,))
    return told


def test_every_option_of_the_worker_is_documented() -> None:
    """With its environment variables."""
    rows = tables("docs/operations.md", "## Options")[0]
    documented = {names([row])[0]: tuple(names([row], 1)) for row in rows}
    assert len(documented) == len(rows)
    assert documented == worker_options()


def test_the_toml_key_of_an_option_is_its_name() -> None:
    """But for --config, which names the file."""
    for row in tables("docs/operations.md", "## Options")[0]:
        (option,) = names([row])
        assert names([row], 2) == ([] if option == "--config" else [option.removeprefix("--")])


def test_the_defaults_that_the_help_tells_are_the_documented_ones() -> None:
    """The others depend on the machine, and are described."""
    rows = {
        names([row])[0]: names([row], 3) for row in tables("docs/operations.md", "## Options")[0]
    }
    for argument in app["worker"].assemble_argument_collection():
        default = argument.field_info.default
        if argument.name.startswith("--") and default is not None:
            assert rows[argument.name] == [str(default)], argument.name


def test_the_toml_of_the_docs_is_read() -> None:
    """Every key of it is an option."""
    blocks = [body for kind, body in FENCE.findall(text_of("docs/operations.md")) if kind == "toml"]
    assert blocks
    for block in blocks:
        assert {f"--{key}" for key in tomllib.loads(block)["worker"]} <= worker_options().keys()


def test_what_each_option_allows_is_told() -> None:
    """With what that means."""
    rows = tables("docs/operations.md", "## What tasks may ask for")[0]
    real = {option for option in worker_options() if option.startswith("--allow-")}
    real.remove("--allow-client")  # that is who may ask
    same([names([row])[0].split()[0] for row in rows], real)
    assert all(row[2] for row in rows)


def commands_of(group: App) -> list[str]:
    return sorted(name for name in group if not name.startswith("-"))


COMMANDS = commands_of(app)
GROUPS = [name for name in COMMANDS if app[name].default_command is None]
PARTS = [f"{group} {name}" for group in GROUPS for name in commands_of(app[group])]


def options_of(command: str) -> dict[tuple[str, ...], str]:
    """Each option of a command with all its names, and the words of its help."""
    found = app
    for word in command.split():
        found = found[word]
    return {
        argument.names: argument.parameter.help or ""
        for argument in found.assemble_argument_collection()
        if argument.name.startswith("--")
    }


def shown_command(words: str) -> str:
    """The command at the start of an example: `ps`, or `certs show`."""
    first, *rest = words.split()
    return f"{first} {rest[0]}" if first in GROUPS else first


def test_every_command_is_documented() -> None:
    """With a heading of its own, and no command that does not exist."""
    rows = tables("docs/cli.md", "# The command line")[0]
    same([names([row])[0] for row in rows], {f"keelman {name}" for name in COMMANDS})
    headings = re.findall(r"^## keelman (\w+)$", text_of("docs/cli.md"), re.MULTILINE)
    assert headings == [names([row])[0].removeprefix("keelman ") for row in rows]


def test_every_command_of_a_group_is_documented() -> None:
    """With a heading below that of its group."""
    headings = re.findall(r"^### keelman (\w+ \w+)$", text_of("docs/cli.md"), re.MULTILINE)
    same(headings, set(PARTS))


@pytest.mark.parametrize("command", sorted({*COMMANDS, *PARTS} - {"worker", *GROUPS}))
def test_every_option_of_a_command_is_documented(command: str) -> None:
    """With all its names, in the words of its help; no other."""
    level = "###" if command in PARTS else "##"
    rows = tables("docs/cli.md", f"{level} keelman {command}")[0]
    documented = {tuple(names([row])): row[1] for row in rows}
    assert len(documented) == len(rows)
    asks = ("--addr",) in documented
    assert documented | (shared_options() if asks else {}) == options_of(command)


def shared_options() -> dict[tuple[str, ...], str]:
    """Those of every command that asks a worker."""
    rows = tables("docs/cli.md", "## What they share")[0]
    return {tuple(names([row])): row[2] for row in rows}


def test_the_variables_of_shared_options_are_documented() -> None:
    """As they are read."""
    told = {
        argument.name: list(argument.parameter.env_var or ())
        for argument in app["ps"].assemble_argument_collection()
    }
    for row in tables("docs/cli.md", "## What they share")[0]:
        assert told[names([row])[0]] == names([row], column=1)


def test_every_exit_status_is_documented() -> None:
    """In the words of the help."""
    rows = tables("docs/cli.md", "## What they share")[1]
    told = EXIT_STATUSES.replace("\n", " ").removeprefix("Exit status: ").split(" · ")
    assert [f"{row[0]} {row[1]}" for row in rows] == [word for word in told if word[0].isdigit()]


def test_lines_of_examples_are_understood() -> None:
    """What a page shows as typed names commands and options that exist."""
    pages = [page.read_text(encoding="utf-8") for page in PAGES]
    lines = re.findall(r"^(?:\$ )?keelman (\w.*)$", "\n".join(pages), re.MULTILINE)
    commands = [shown_command(rest) for rest in lines]
    assert {*commands} >= {"run", "ps", "inspect", "logs", "stop", "export", "certs issue"}
    for command, rest in zip(commands, lines, strict=True):
        known = {name for names in options_of(command) for name in names} | {"--help"}
        before_image = rest.partition(" keelman/busybox")[0]
        assert set(re.findall(r"(?<=\s)--[a-z-]+", before_image)) <= known, command


def test_every_call_of_the_client_is_documented() -> None:
    """And every error that it raises."""
    calls = {name for name in vars(Client) if not name.startswith("_")}
    same(names(tables("docs/client.md", "## Calls")[0]), calls)
    of_managers = {name for name in vars(ManagerClient) if not name.startswith("_")}
    same(names(tables("docs/client.md", "## A manager")[0]), of_managers)
    errors_of = {name for name, kind in vars(answers).items() if _is_error(kind)}
    same(names(tables("docs/client.md", "## Errors")[0]), errors_of)


def _is_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, KeelmanError)


def test_the_example_that_is_shown_is_the_one_that_is_run() -> None:
    """So that what CI runs is what one reads."""
    blocks = [body for kind, body in FENCE.findall(text_of("docs/client.md")) if kind == "python"]
    assert blocks[0] == text_of("examples/run_container.py")


def test_the_picture_is_of_commands_that_exist() -> None:
    """Drawn by `make picture`; a command that was renamed is noticed."""
    words = re.sub("<[^>]*>", "", text_of("docs/cli.svg")).replace("&#160;", " ")
    shown = set(re.findall(r"\$ *keelman (\w+)", words))
    assert shown
    assert shown <= set(COMMANDS)


def logged() -> set[tuple[str, str]]:
    """(event, level) of every line that the worker may log, from the source."""
    found = set()
    for source in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="log"), attr=level),
                    args=[ast.Constant(value=str(event)), *_],
                ):
                    found.add((event, "error" if level == "exception" else level))
                case _:
                    pass
    return found


def test_every_log_line_is_documented_with_its_level() -> None:
    """And no line that is never written."""
    rows = tables("docs/operations.md", "## Log lines")[0]
    same([f"{names([row])[0]} {row[1]}" for row in rows], {" ".join(line) for line in logged()})


# -- security ------------------------------------------------------------------------------------

# What takes files from the worker's sight, and not from the engine's.
HIDING = {
    *("PrivateTmp", "PrivateDevices", "InaccessiblePaths", "TemporaryFileSystem", "RootDirectory"),
    *(
        "RootImage",
        "PrivateUsers",
        "DynamicUser",
        "ProtectKernelModules",
        "BindPaths",
        "MountImages",
    ),
}


def service() -> dict[str, str]:
    """The unit's settings, comments left out."""
    (unit,) = [body for kind, body in FENCE.findall(text_of("docs/operations.md")) if kind == "ini"]
    lines = [line.partition("=") for line in unit.splitlines() if "=" in line and line[0] != "#"]
    return {key: value for key, _, value in lines}


def test_the_service_hides_no_file_from_the_worker() -> None:
    """A mount is judged by where it leads, which must be where it leads the engine."""
    told = service()
    assert not HIDING & told.keys()
    assert told["ProtectHome"] == "read-only"


def test_the_service_keeps_open_what_the_worker_writes_to() -> None:
    """Its data directory, and the lock on its name; what is in them is for nobody else."""
    told = service()
    assert told["ProtectSystem"] == "strict"
    assert told["ReadWritePaths"] == str(LOCK_PLACES[0])
    assert (told["StateDirectoryMode"], told["UMask"]) == ("0700", "0077")


def test_what_holds_a_promise_of_the_threat_model_is_there() -> None:
    """Each test that is named beside one, and each promise has one or points to where it is."""
    tests = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    named = re.findall(r"`(test_\w+)`", text_of("docs/security.md"))
    assert named
    assert set(named) <= tests


# -- architecture, glossary ----------------------------------------------------------------------


def test_every_module_is_in_the_architecture() -> None:
    """And is called PURE there exactly if it calls itself so."""
    rows = tables("docs/architecture.md", "## Modules")[0]
    modules = {
        str(path.relative_to(SOURCES)): path
        for path in SOURCES.rglob("*.py")
        if path != SOURCES / "__init__.py"
    }
    same(names(rows), set(modules))
    for row in rows:
        docstring = ast.get_docstring(ast.parse(modules[names([row])[0]].read_text())) or ""
        assert ("PURE" in docstring) == (row[1] == "PURE"), row[0]


def test_the_layers_are_those_that_are_checked() -> None:
    """Drawn as import-linter has them."""
    (drawn,) = [
        body.splitlines()
        for kind, body in FENCE.findall(text_of("docs/architecture.md"))
        if kind == "text" and body.startswith("cli\n")
    ]
    project = tomllib.loads(text_of("pyproject.toml"))
    contract = project["tool"]["importlinter"]["contracts"][0]
    assert [line.replace("·", "|") for line in drawn] == contract["layers"]


def test_every_dependency_has_its_reason() -> None:
    """Those of the worker in the table, those for work on it in a sentence."""
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    needed, (_, _, words) = (
        {re.split(r"[<>=~]", line)[0] for line in project["dependencies"]},
        text_of("docs/architecture.md").partition("\n## Dependencies\n"),
    )
    rows = tables("docs/architecture.md", "## Dependencies")[0]
    same([row[0] for row in rows if "`" not in row[0]], needed)
    for line in project["optional-dependencies"]["dev"]:
        assert re.split(r"[<>=~]", line)[0] in words


def test_the_glossary_has_each_word_once_in_order() -> None:
    """So that it can be found."""
    (rows,) = tables("docs/glossary.md", "# Glossary")
    words = [row[0].strip("*").lower() for row in rows]
    assert words == sorted(set(words))


# -- links, examples -----------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The headings of a page, as a link names them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """To a file that is there, and a heading in it."""
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def json_blocks() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        blocks = FENCE.findall(page.read_text(encoding="utf-8"))
        for number, (kind, body) in enumerate(blocks):
            if kind == "json":
                yield f"{page.name} {number}", body


ANSWERS: dict[str, type[msgspec.Struct]] = {
    "HTTPStatusCode": ErrorReport,
    "Seq": TransitionReport,
    "State": TaskReport,
}


def check_answer(answer: dict[str, Any]) -> None:
    """It has every field of its kind and no other; decoding alone would pass over others."""
    (kind,) = [kind for field, kind in ANSWERS.items() if field in answer]
    msgspec.convert(answer, kind)
    assert answer.keys() | {*UNSAID} == wire_names(kind) | {*UNSAID}


@pytest.mark.parametrize("block", [pytest.param(body, id=name) for name, body in json_blocks()])
def test_json_in_the_docs_is_what_the_code_takes_and_gives(block: str) -> None:
    """A TaskEvent is accepted; an answer has the fields that answers have."""
    value = json.loads(block)
    for one in value if isinstance(value, list) else [value]:
        if "Task" in one:
            decode_event(json.dumps(one).encode())
        else:
            check_answer(one)


def test_python_in_the_docs_compiles() -> None:
    """And there is some."""
    blocks = [
        body for page in PAGES for kind, body in FENCE.findall(page.read_text()) if kind == "python"
    ]
    assert blocks
    for body in blocks:
        compile(body, "docs", "exec")


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_examples_are_accepted(file: Path) -> None:
    """As they are."""
    decode_event(file.read_bytes())


def test_examples_shown_are_the_files() -> None:
    """What a page shows of an example is the example."""
    shown = [json.loads(body) for _, body in json_blocks()]
    linked = set(
        itertools.chain(*(re.findall(r"examples/(\w+\.json)\)", text_of(str(p))) for p in PAGES))
    )
    assert linked
    for name in linked:
        assert json.loads(text_of(f"examples/{name}")) in shown, name


def test_nothing_in_the_docs_is_of_this_machine() -> None:
    """No working folder, no folder of somebody's: places that a reader does not have."""
    for page in PAGES:
        assert not re.search(r"(?<![\w.])/(work|home)/", page.read_text(encoding="utf-8"))
