"""``zoo doctor``: what a bug report should say, and what is broken."""

from __future__ import annotations

import json

import click

from zoo.cli.flags import option
from zoo.cli.terminal import echo, plain_table, styled


@click.command()
@option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Examine the installation.

    Versions, processor, compiler, cache, plugins: what a bug report should say. Each plugin that is not
    zoo's own is loaded in its own process, so that one that crashes or hangs is named. The exit code is 1 if
    something is broken.
    """
    from zoo.cli.examinations import examine

    findings = examine()
    problems = [finding.problem for finding in findings if finding.problem]
    if as_json:
        facts = {finding.name: finding.data for finding in findings}
        echo(json.dumps({"ok": not problems, "problems": problems, **facts}, indent=2))
    else:
        echo("\n".join(plain_table((finding.name, finding.text) for finding in findings)))
        echo()
        for problem in problems:
            echo(f"{styled('Broken:', fg='red', bold=True)} {problem}")
        echo("" if problems else styled("All is well.", fg="green"), nl=not problems)
    if problems:
        ctx.exit(1)
