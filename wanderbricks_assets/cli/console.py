"""How the commands speak: in tables and sentences for people, and exit codes for programs."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import typer
from rich.console import Console
from rich.markup import escape

COULD_NOT_RUN, GATE_FAILED = 1, 2
# Logs and pipes have no width of their own; tables need some.
console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 150)


def sentences(*kinds: type[Exception]) -> AbstractContextManager[None]:
    """Say what a person did wrong in the error's own sentence, without a traceback, and exit with 1."""
    return said(ValueError, *kinds)


@contextmanager
def said(*kinds: type[Exception]) -> Iterator[None]:
    """The same of these errors only."""
    try:
        yield
    except kinds as error:
        console.print(f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(COULD_NOT_RUN) from error
