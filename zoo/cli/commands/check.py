"""``zoo check``: check a component against the laws of its kind."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict
from typing import Any

import click

from zoo.arguments import counted
from zoo.cli.completion import complete_components
from zoo.cli.component_lookup import find_component
from zoo.cli.flags import Command, argument, format_options, option
from zoo.cli.terminal import dim, echo, is_terminal, make_console, print_facts, rich_text, styled
from zoo.registry.plugin_files import is_file_spec
from zoo.testing.report import STATUS_WORDS, Outcome, Report, Status

_STYLES: dict[Status, dict[str, Any]] = {
    "passed": {"fg": "green"},
    "failed": {"fg": "red", "bold": True},
    "skipped": {"dim": True},
    "expected failure": {"fg": "yellow"},
    "not checked": {"fg": "yellow"},
}


@click.command(cls=Command)
@argument("component", metavar="NAME|FILE.py:Class", shell_complete=complete_components)
@option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=600.0,
    metavar="SECONDS",
    help="For all laws together; waiting for a busy processor does not count.  [600]",
)
@option(
    "--examples",
    type=click.IntRange(min=1),
    metavar="N",
    help="Random examples for each law of cells: 1 for a quick check.  [ZOO_TEST_EXAMPLES, or 5]",
)
@option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set an option of the component; may be repeated.",
)
@option("--plugin", metavar="FILE.py", help="Load a plugin from a file first.")
@format_options
@click.pass_context
def command(
    ctx: click.Context,
    component: str,
    timeout: float,
    examples: int | None,
    assignments: tuple[str, ...],
    plugin: str | None,
    form: str | None,
) -> None:
    """Check a cell or another component against its laws.

    The checks run in a separate process, with bounds checks and a time limit, so that a crash is reported as
    a result. The exit code is 1 if a law is broken or the time limit is reached. If components of several
    kinds have the name, write KIND:NAME, for example optimizer:adam or loss:huber. Without KIND, the cell is
    checked if a cell and a block share the name. A loss in a file is FILE.py:NAME.

    A block is checked around the cells lstm and gla, and its gradients around a cell of every kind, which
    takes a few minutes. `zoo check "BLOCK(CELL)"` checks it around another cell. docs/laws.md lists what the
    laws do not cover.
    """
    from zoo.testing import check_in_child

    # The child loads --plugin FILE.py, whose components are unknown here.
    spec = component if plugin or is_file_spec(component) else _full_name(component)
    with _spinner(f"checking {component} in a separate process", quiet=form is not None):
        report = check_in_child(spec, timeout=timeout, plugin=plugin, examples=examples, options=assignments)
    if form == "csv":
        print_facts([asdict(outcome) for outcome in report.outcomes], form)
    else:
        echo(report.to_json() if form == "json" else _text(report))
    if not report.ok:
        ctx.exit(1)


def _full_name(name: str) -> str:
    """The name with its kind: ``optimizer:adam``; a name with its kind stays, also ``loss:huber:0.5``."""
    component = find_component(name)
    return name if ":" in name else f"{component.kind}:{component.name}"


def _spinner(text: str, quiet: bool) -> contextlib.AbstractContextManager[object]:
    # The first check of a cell compiles for up to half a minute.
    if quiet or not is_terminal(sys.stderr):
        return contextlib.nullcontext()
    return make_console(sys.stderr).status(rich_text(text), spinner_style="cyan")


def _text(report: Report) -> str:
    warned = [f"{styled('warning:', fg='yellow')} {text}" for text in report.warnings]
    tried = [outcome for outcome in report.outcomes if not outcome.message.startswith("not tried, since ")]
    untried = report.outcomes[len(tried) :]
    reason = [dim(f"{counted(len(untried), 'law')} {untried[0].message}.")] if untried else []
    return "\n".join([*map(_line, tried), *reason, "", *warned, report.summary()])


def _line(outcome: Outcome) -> str:
    word = styled(f"{STATUS_WORDS[outcome.status]:<8}", **_STYLES[outcome.status])
    line = f"{word} {outcome.law}  {dim(outcome.check)}"
    return "\n".join([line, *(f"{'':9}{text}" for text in outcome.message.splitlines())])
