"""Every command of README and docs exists, with its options; those that a home of nine days allows are executed."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import dagster as dg
import pytest
import typer
import typer.main
from dagster._cli import create_dagster_cli

from wanderbricks_assets.cli import app
from wanderbricks_assets.definitions import defs
from wanderbricks_assets_tests.test_cli import home, small_source  # noqa: F401 (fixtures)

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CLICK = {"wanderbricks": typer.main.get_command(app), "dagster": create_dagster_cli()}
PROGRAMS = ("wanderbricks", "dagster", "make", "python", "uv", "databricks", "curl", "rm", "export")
USAGE_ERROR = typer.BadParameter.__base__
NOT_CHECKED = {
    "databricks": "the Databricks CLI is no Python package and needs a workspace; the bundle itself is held by tests",
    "curl": "needs the running service; tests of serving/ call the same addresses",
    "rm": "deletes; nothing to parse",
    "cd": "of the shell",
    "mkdir": "of the shell",
    "export": "sets variables; test_settings.py reads them",
    "start-connect-server.sh": "comes with a Spark of one's own",
}
"""Programs of which a documented command is not even parsed, and why."""
PLACEHOLDERS = {"DAY": "2026-11-21", "N": "7", "ID": "7", "MODEL": "revenue_forecaster", "SEED": "1"}


def commands(page: Path) -> list[list[str]]:
    """The words of every command of a page: lines of its shell blocks, and inline code that begins with a program."""
    text = page.read_text()
    found = []
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        if language in ("", "sh", "bash", "shell"):
            for line in _whole_lines(block):
                for part in _parts(line):
                    words = _without_assignments(part)
                    if words:
                        found.append(words)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    for code in re.findall(r"`([^`\n]+)`", prose):
        words = _without_assignments(shlex.split(code, comments=True)) if code.count("'") % 2 == 0 else []
        if len(words) > 1 and _program(words) in PROGRAMS:
            found.append(words)
    return found


def _whole_lines(block: str) -> list[str]:
    """A block's commands: a line that ends in a backslash, or leaves a quotation open, goes on in the next."""
    lines, begun = [], ""
    for line in block.splitlines():
        begun += line
        if begun.endswith("\\"):
            begun = begun[:-1]
            continue
        try:
            shlex.split(begun, comments=True)
        except ValueError:
            begun += "\n"
            continue
        lines.append(begun)
        begun = ""
    assert not begun, f"a command does not end: {begun}"
    return lines


def _parts(line: str) -> list[list[str]]:
    words, parts = shlex.split(line, comments=True), [[]]
    for word in words:
        if word in ("&&", "|", ";"):
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def _without_assignments(words: list[str]) -> list[str]:
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0], re.DOTALL):
        words = words[1:]
    return words


def _program(words: list[str]) -> str:
    return Path(words[0]).name


def _parse(command: click.Command, words: list[str], name: str) -> None:
    """Raise what Click raises for words that the command does not know; run nothing."""
    if hasattr(command, "resolve_command"):
        with command.make_context(name, list(words), resilient_parsing=True) as context:
            rest = [*context._protected_args, *context.args]
            if not rest:
                return
            context.resilient_parsing = False
            _, inner, rest = command.resolve_command(context, rest)
        _parse(inner, rest, f"{name} {inner.name}")
    elif words and "--help" not in words:  # a name alone is a mention of the command
        command.make_context(name, list(words)).close()


DOCUMENTED = [
    pytest.param(words, id=f"{page.stem}: {' '.join(words)[:90]}") for page in PAGES for words in commands(page)
]


@pytest.mark.parametrize("words", DOCUMENTED)
def test_a_documented_command_exists_with_its_options(words: list[str], tmp_path: Path, monkeypatch):
    program = _program(words)
    words = [PLACEHOLDERS.get(word, word) for word in words[1:] if word not in ("...", "[", "]")]
    words = [word.strip("[]") for word in words]
    if ">" in words:
        words = words[: words.index(">")]
    if program in CLICK:
        _parse(CLICK[program], words, program)
        if "--select" in words:
            selection = words[words.index("--select") + 1]
            assert dg.AssetSelection.from_coercible(selection.split(",")).resolve(defs.resolve_asset_graph())
    elif program == "make":
        run = subprocess.run(["make", "--dry-run", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
    elif program == "python" and words[0] == "-m":
        _knows_its_options(words[1], [word for word in words[2:] if word.startswith("--")])
    elif program == "python" and words[0] == "-c":
        compile(words[1], "docs", "exec")
    elif program == "uv":
        uv = Path(sys.executable).with_name("uv")
        run = subprocess.run([uv, *words[:2], "--help"], capture_output=True, text=True, check=False)
        assert run.returncode == 0
        for option in (word for word in words if word.startswith("-")):
            assert re.search(rf"(?<![\w-]){re.escape(option)}\b", run.stdout), option
    else:
        assert program in NOT_CHECKED, f"{program}: execute it here, or say in NOT_CHECKED why not"


def _knows_its_options(module: str, options: list[str]) -> None:
    """A module that exists and whose source declares the options; starting it to ask takes seconds each."""
    path = ROOT / module.replace(".", "/")
    file = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
    assert file.exists(), f"no module {module}"
    for option in options:
        assert f'"{option}"' in file.read_text(), f"{module} has no {option}"


PRINTS = {
    "wanderbricks_assets.contracts.dictionary": "docs/data-dictionary.md",
    "wanderbricks_assets.activation.serving_endpoint": "deploy/databricks/resources/serving_endpoint.yml",
}


@pytest.mark.parametrize(("module", "file"), PRINTS.items())
def test_a_command_that_prints_a_file_prints_what_is_kept(module: str, file: str, tmp_path: Path):
    environment = os.environ | {"WANDERBRICKS_HOME": str(tmp_path)}
    printed = subprocess.run(
        [sys.executable, "-m", module], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout
    kept = (ROOT / file).read_text()
    assert "".join(line for line in kept.splitlines(keepends=True) if not line.startswith("# Printed by")) == printed


NOT_EXECUTED = {
    "make": "takes minutes, or is this run",
    "python -m bench": "takes minutes",
    "wanderbricks up": "a server: test_servers.py",
    "wanderbricks serve": "a server: serving/",
    "wanderbricks run": "test_cli.py runs it, of which this home is",
    "wanderbricks simulate": "simulator/",
    "wanderbricks prices": "a small home recommends none: test_cli.py and activation/test_decisions.py",
    "wanderbricks backtest": "a small home teaches nothing",
    "dagster dev": "a server",
    "dagster asset materialize -m wanderbricks_assets.definitions --select group:": "a small home teaches nothing",
    "dagster asset materialize --select dim_destination": "a job of a workspace: databricks/",
    "python -c from mlflow": "a small home has no version: automation/test_sensors.py moves an alias",
    "uv": "installs or builds",
}
"""How documented commands begin that only have to exist, with their options, and why."""
EXECUTED = {
    ".venv/bin/wanderbricks scoreboard --home HOME": 0,
    "wanderbricks recheck --from DAY --to DAY": 0,
    "wanderbricks tidy --home HOME": 0,
    "wanderbricks doctor": 0,
    "wanderbricks --help": 0,
    "wanderbricks rules --edit": 0,
    ".venv/bin/dagster asset materialize -m wanderbricks_assets.definitions --select property_features,user_features "
    "--partition-range 2024-01-01...2024-12-31": 0,
    ".venv/bin/dagster asset materialize -m wanderbricks_assets.definitions --select key:fact_booking_history+ and "
    "(group:gold or group:features) and not key:dim_date --partition-range 2024-01-01...2026-11-21": 0,
    ".venv/bin/dagster asset wipe property_features --noprompt": 0,
}
"""Documented commands that are executed, in the order of the runbook, and how each ends on a home without models."""
DAYS = {
    "DAY": "2024-01-05",
    "2024-01-01...2024-12-31": "2024-01-02...2024-01-09",
    "2024-01-01...2026-11-21": "2024-01-02...2024-01-09",
}


def test_the_commands_of_readme_and_runbook_run_on_a_small_home(home):  # noqa: F811
    folder, _ = home
    documented = {" ".join(param.values[0]): param.values[0] for param in DOCUMENTED}
    environment = os.environ | {
        "WANDERBRICKS_HOME": str(folder),
        "DAGSTER_HOME": str(folder / "dagster"),
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
    }
    environment.pop("WANDERBRICKS_SOURCE", None)
    for command, ends_with in EXECUTED.items():
        program, *words = (DAYS.get(word, str(folder) if word == "HOME" else word) for word in documented[command])
        module = {"wanderbricks": "wanderbricks_assets.cli", "dagster": "dagster"}[Path(program).name]
        run = subprocess.run(
            [sys.executable, "-m", module, *words],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert run.returncode == ends_with, f"{command}\n{run.stdout[-2000:]}{run.stderr[-2000:]}"


def test_a_command_is_executed_or_it_is_said_why_not():
    done = {*map(_said, map(str.split, EXECUTED)), *(f"python -m {module}" for module in PRINTS)}
    excused = (*NOT_EXECUTED, *NOT_CHECKED)
    found = {_said(param.values[0]) for param in DOCUMENTED}
    mentioned = {said for said in found if any(one.startswith(said) for one in done)}
    assert [said for said in found - mentioned if not said.startswith(excused)] == []


def _said(words: list[str]) -> str:
    """A command without the folder of its program, and without where its output goes."""
    words = [_program(words), *words[1:]]
    return " ".join(words[: words.index(">")] if ">" in words else words)


def test_a_command_that_nobody_knows_is_found():
    with pytest.raises(USAGE_ERROR):
        _parse(CLICK["wanderbricks"], ["scoreboard", "--hime", "HOME"], "wanderbricks")
    with pytest.raises(USAGE_ERROR):
        _parse(CLICK["wanderbricks"], ["scorebord"], "wanderbricks")
    assert len(DOCUMENTED) > 40
