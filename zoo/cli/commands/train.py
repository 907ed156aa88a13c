"""``zoo train``: a text or a task in, a run directory out."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Sequence
from typing import Any

import click

from zoo.cli.failures import say
from zoo.cli.members import load_plugins, repeated_flags
from zoo.cli.progress import watching
from zoo.cli.resuming import note_of_new_run, train_arguments
from zoo.cli.sections import Flag, Sectioned
from zoo.cli.settings import FLAGS, TRAINING, WATCHING
from zoo.ranks.launch import rank_of_launch

_HELP = """Train a model on a text, or on a task.

A run is a directory: config.json, log.jsonl with every event, and checkpoints. Ctrl-C saves before it
stops; then

\b
  zoo train --resume --out DIR

goes on, to the same numbers as if nothing had happened. All settings come from the run; flags may change
those on which no number depends. A cell or task in a file has to be named again with --cell FILE.py:Class
or --task FILE.py:Class.
"""

_OTHERS = [
    Flag(
        "--set",
        "assignments",
        section=TRAINING,
        multiple=True,
        metavar="NAME=VALUE",
        help="An option of the task, the cell, the optimizer or the schedule (`zoo show NAME` lists them), "
        "as in beta1=0.8, or optimizer.beta1=0.8 where several have the name; may be repeated.",
    ),
    Flag(
        "--out",
        section=WATCHING,
        metavar="DIR",
        help="The run directory.  [the next free runs/CELL-TEXT-N, or CELL-TASK-N]",
    ),
    Flag(
        "--resume",
        section=WATCHING,
        is_flag=True,
        help="Resume the run in --out; if there is none, print a note and start one.",
    ),
    Flag(
        "--tracker",
        "trackers",
        section=WATCHING,
        multiple=True,
        metavar="NAME",
        help="Write every event elsewhere too: tensorboard, mlflow, jsonl (`zoo show tracker:NAME`); options "
        "by --set tracker.dir=..., or --set NAME.dir=... with several; may be repeated.",
    ),
    Flag("--quiet", section=WATCHING, is_flag=True, help="Print nothing but warnings and errors."),
    Flag("--json", "as_json", section=WATCHING, is_flag=True, help="Print each event as one line of JSON."),
    Flag("--plugin", multiple=True, metavar="FILE.py", help="Load a plugin from a file; may be repeated."),
]


def run(
    assignments: Sequence[str],
    out: str | None,
    resume: bool,
    trackers: Sequence[str],
    quiet: bool,
    as_json: bool,
    plugin: Sequence[str],
    **flags: Any,
) -> None:
    """Train; the arguments are those of the command line, with None for flags that were not given."""
    if resume and out is None:
        raise click.UsageError("--resume needs --out DIR, the directory of the run.")
    given = {name: value for name, value in flags.items() if value is not None and value != ()}
    also = repeated_flags(plugin, cell=[flags["cell"]], task=[flags["task"]])
    with watching(quiet or rank_of_launch() > 0, as_json, also) as watch:
        from zoo.training import Interrupted, train

        load_plugins(plugin)
        arguments = train_arguments(given, assignments, out, resume, trackers)
        note = note_of_new_run(out) if resume and out is not None and rank_of_launch() == 0 else None

        def following(event: dict[str, Any]) -> None:
            nonlocal note
            if note is not None:  # not before the first event: the directory may be refused
                say(f"Note: {note}")
                if as_json:
                    watch({"event": "note", "text": note})
                note = None
            watch(event)

        try:
            train(**arguments, out=out, resume=resume, on_event=following)
        except Interrupted as stopped:
            if rank_of_launch() > 0:
                raise click.exceptions.Exit(128 + stopped.signal) from None
            words = ["--resume", "--out", str(stopped.run.path), *also, *_watched(trackers, assignments)]
            again = shlex.join(["zoo", "train", *words])
            say(f"Interrupted by {signal.Signals(stopped.signal).name}; all is saved. Resume with: {again}")
            raise click.exceptions.Exit(128 + stopped.signal) from None


def _watched(trackers: Sequence[str], assignments: Sequence[str]) -> list[str]:
    """The trackers and their options, which no run keeps."""
    prefixes = ("tracker.", *(f"{name}." for name in trackers))
    sets = [text for text in assignments if trackers and text.startswith(prefixes)]
    return [
        *(word for name in trackers for word in ("--tracker", name)),
        *(w for s in sets for w in ("--set", s)),
    ]


command = Sectioned("train", callback=run, params=[*FLAGS, *_OTHERS], help=_HELP)
