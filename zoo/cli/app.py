"""The group of all commands. The module of a command is imported when the command runs."""

from __future__ import annotations

import importlib
from typing import Any

import click
from click.shell_completion import CompletionItem

import zoo
import zoo.cli.shells  # registers their completion
from zoo.cli.errors import report_errors
from zoo.errors import UsageError

# Section of `zoo --help` -> name -> one line, in the order of the help.
SECTIONS = {
    "Train and use": {
        "train": "Train a model on a text, a table, labelled sequences or a task.",
        "sample": "Generate text with a trained model.",
        "forecast": "Forecast the next steps of a time series with a trained model.",
        "predict": "Predict labels of sequences or steps with a trained model.",
        "calibrate": "Calibrate the probabilities of a trained classifier.",
        "backtest": "Compare forecasts from many points in time with actual values.",
        "eval": "Evaluate a trained model on its data, on other data or its task.",
        "tokenize": "Train a tokenizer on a text, for `zoo train --tokenizer`.",
        "export": "Export a trained model as ONNX, C, JavaScript or a web page.",
        "report": "Write an HTML page of a run or a comparison.",
        "runs": "List run directories with cell, data, steps and best score.",
    },
    "Compare": {
        "compare": "Train cells on tasks or on your data under equal conditions.",
        "bench": "Measure training steps, or layers, of zoo and of other libraries.",
    },
    "Browse": {
        "cells": "List the cells.",
        "blocks": "List the blocks, which surround any cell.",
        "modifiers": "List the modifiers, which change any cell.",
        "tasks": "List the benchmark tasks.",
        "losses": "List the losses.",
        "penalties": "List the penalties, which add terms to the loss.",
        "constraints": "List the constraints on parameters.",
        "optimizers": "List the optimizers.",
        "samplers": "List the samplers, which choose the next token.",
        "trackers": "List the trackers, which receive the events of a run.",
        "show": "Show a component with its equations, or a run.",
        "cite": "Print BibTeX references.",
    },
    "Write your own": {
        "new": "Write a plugin package with a component of any kind.",
        "check": "Check a cell or another component against its laws.",
        "plugins": "List the plugins, and why one failed to load.",
        "pages": "Write a Markdown page with a diagram for each cell and each block.",
    },
    "Maintenance": {
        "doctor": "Check the installation.",
        "cache": "Show, clear, build or copy the compiled kernels on disk.",
        "completion": "Print a script that completes zoo commands in your shell.",
    },
}
COMMANDS = {name: summary for section in SECTIONS.values() for name, summary in section.items()}

_LISTINGS = (
    *("blocks", "cells", "modifiers", "tasks", "losses", "penalties", "constraints"),
    *("optimizers", "samplers", "trackers", "runs"),
)
_MODULES = dict.fromkeys(_LISTINGS, "listings")
"""Modules in ``zoo.cli.commands`` that do not have the name of their command."""

_EXAMPLES = """\b
Examples:
  zoo train --cell vanilla                train on Python's own reference
  zoo train --data book.txt --steps 3000  train on a text file
  zoo train --task adding --cell lstm     train on a task
  zoo train --data load.csv --target load --horizon 24
                                          train to forecast a column of a table
  zoo train --data walks.csv --series id --label activity
                                          train to classify sequences
  zoo sample runs/vanilla-pydoc-1         generate text with a trained model
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
        name = _MODULES.get(cmd_name, cmd_name)
        module = importlib.import_module(f"zoo.cli.commands.{name}")
        command: click.Command = getattr(module, "command" if name == cmd_name else cmd_name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the options before the command."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            from zoo.cli.flags import usage_error

            raise usage_error(error, ctx) from None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Resolve the command of the arguments; suggest the nearest name for an unknown one."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            from zoo.base.names import did_you_mean

            near = did_you_mean(args[0], COMMANDS)
            raise UsageError(f"unknown command {args[0]!r}; `zoo --help` lists the commands.{near}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write ``SECTIONS``; help imports no command."""
        for heading, commands in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([(f"{name:<10}", summary) for name, summary in commands.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete commands and options; completion imports no command for its summary."""
        names = [name for name in COMMANDS if name.startswith(incomplete)]
        items = [CompletionItem(name, help=COMMANDS[name]) for name in names]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        """Parse the command line, or print the help."""
        with report_errors():
            return super().make_context(*arguments, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command and report its errors, which name its flags."""
        with report_errors(lambda: self._flags(ctx)):
            return super().invoke(ctx)

    def _flags(self, ctx: click.Context) -> dict[str, str]:
        """The flags of the command that runs, by their names in Python, and by their spelling."""
        command = self.get_command(ctx, ctx.invoked_subcommand or "")
        options = [param for param in (command.params if command else ()) if isinstance(param, click.Option)]
        spelled = {option.opts[-1].strip("-").replace("-", "_"): option.opts[-1] for option in options}
        off = {f"{option.name}=False": flag for option in options for flag in option.secondary_opts}
        others: dict[str, str] = getattr(command, "other_flags", {})
        return {**others, **spelled, **off, **{str(option.name): option.opts[-1] for option in options}}


@click.group(
    cls=LazyGroup,
    epilog=_EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(zoo.__version__, "-V", "--version", message="zoo %(version)s")
def cli() -> None:
    """Train, check and compare recurrent neural network cells on a CPU."""
