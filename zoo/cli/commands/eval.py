"""``zoo eval``: how well a trained model predicts a text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from zoo.cli.members import file_cell, plugin_option
from zoo.cli.terminal import plain_table


@click.command()
@click.argument("path", metavar="RUN")
@click.option(
    "--data",
    "sources",
    multiple=True,
    metavar="SOURCE",
    help="Another text, as for zoo train.  [the run's own]",
)
@click.option("--glob", metavar="PATTERN", help="Which files of a directory are read.  [as the run did]")
@click.option(
    "--part",
    type=click.Choice(["train", "valid", "test", "all"]),
    help="Which part of the text.  [of the run's own text test, else valid, else train; of another all]",
)
@click.option(
    "--on-unknown",
    type=click.Choice(["error", "skip"]),
    default="error",
    help="What to do with characters that the model does not know.  [error]",
)
@click.option("--cell", metavar="FILE.py:Class", help="The model's cell, if it is registered nowhere.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
@plugin_option
def command(
    path: str,
    sources: Sequence[str],
    glob: str | None,
    part: str | None,
    on_unknown: str,
    cell: str | None,
    as_json: bool,
) -> None:
    """Measure how well a trained model predicts a text.

    RUN is a run directory, whose best model is taken, or a .safetensors file. The loss is the mean
    cross-entropy in nats per symbol; the text is read in as many streams as in training, so that the numbers
    compare.
    """
    from zoo.cli.evaluating import evaluate_on, open_model

    trained = open_model(Path(path), file_cell(cell))
    facts = evaluate_on(trained, sources, glob, part, on_unknown)
    if as_json:
        click.echo(json.dumps({"run": path, **facts}))
    else:
        click.echo("\n".join(_report(facts)))


def _report(facts: dict[str, Any]) -> list[str]:
    """The numbers for people."""
    unit = "bits/byte" if facts["level"] == "byte" else "bits/char"
    part = "whole text" if facts["part"] == "all" else f"{facts['part']} part"
    skipped = f", {facts['skipped']:,} unknown ones left out" if facts["skipped"] else ""
    rows = [
        ("text", f"{facts['text']}, {part}: {facts['symbols']:,} symbols predicted{skipped}"),
        ("loss", f"{facts['loss']:.4f} nats, {facts['bits']:.4f} {unit}"),
        ("perplexity", f"{facts['perplexity']:.3f}"),
    ]
    return plain_table(rows)
