"""The group of all commands. The module of a command is imported when the command runs."""

from __future__ import annotations

import importlib
from typing import Any

import click

import zoo
from zoo.cli.errors import report_errors

# Name -> one line for `zoo --help`, in its order. The module is zoo.cli.commands.NAME, or listings.
COMMANDS = {
    "train": "Train a model on a text, or on a task.",
    "sample": "Write text with a trained model.",
    "eval": "Measure a trained model on a text, or on its task.",
    "compare": "Train cells on tasks, alike but for themselves.",
    "export": "Write a trained model as an ONNX graph, or as C.",
    "cells": "List the cells.",
    "modifiers": "List the modifiers, which turn any cell into another one.",
    "tasks": "List the tasks, which networks with a memory are tried on.",
    "show": "Show one cell, optimizer, sampler or task in full.",
    "cite": "Print references for BibTeX.",
    "pages": "Write a page with a picture for each cell.",
    "check": "Check a cell, optimizer, sampler or task against its laws.",
    "bench": "Measure training steps beside those of other libraries.",
    "report": "Make a page of a run or a comparison.",
    "new": "Write a plugin package with one cell, to start from.",
    "plugins": "List the plugins, and why one failed.",
    "doctor": "Examine the installation.",
    "cache": "Look at the compiled kernels on disk, or clear them.",
}
_LISTINGS = ("cells", "modifiers", "tasks")
_EXAMPLES = """\b
Examples:
  zoo train --cell vanilla                train on Python's own reference
  zoo train --data book.txt --steps 3000  train on a text of yours
  zoo train --task adding --cell lstm     train on a task
  zoo sample runs/vanilla-pydoc-1         write text with what was learnt
"""


class LazyGroup(click.Group):
    """A group that imports a command only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """The names, in the order of ``COMMANDS``."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        is_listing = cmd_name in _LISTINGS
        module = importlib.import_module(f"zoo.cli.commands.{'listings' if is_listing else cmd_name}")
        command: click.Command = getattr(module, cmd_name if is_listing else "command")
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Resolve the command of the arguments; suggest the nearest name for an unknown one."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            from zoo.base.names import did_you_mean

            ctx.fail(f"there is no command {args[0]!r}.{did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write ``COMMANDS``; help imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        """Parse the command line, or print the help."""
        with report_errors():
            return super().make_context(*arguments, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command and report its errors."""
        with report_errors():
            return super().invoke(ctx)


@click.group(
    cls=LazyGroup,
    epilog=_EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(zoo.__version__, message="zoo %(version)s")
def cli() -> None:
    """Recurrent cells, written once as their equations, trained on a CPU at the machine's own speed."""
