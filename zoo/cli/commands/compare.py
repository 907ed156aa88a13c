"""``zoo compare``: train cells on tasks under equal conditions."""

from __future__ import annotations

import copy
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import zoo
from zoo.arguments import short_repr
from zoo.base import Optimizer
from zoo.base.set_options import Target, assign, component_target
from zoo.cli.commands.train import default_loss, loss_target, schedule_target
from zoo.cli.component_lookup import (
    PLUGIN,
    cell_class,
    cell_classes,
    component_class,
    load_plugins,
    register_loss_file,
    repeated_flags,
    task_class,
)
from zoo.cli.errors import exit_interrupted
from zoo.cli.flags import Command, Flag
from zoo.cli.terminal import echo
from zoo.cli.train_flags import DATA, FLAGS, SEQUENCES
from zoo.comparison.plan import DATA_SETTINGS, DEFAULTS, SETTINGS, read_plan
from zoo.comparison.specs import in_blocks, label_specs
from zoo.errors import UsageError
from zoo.registry import is_stack, layer_names, split_at_commas
from zoo.training.config import Config
from zoo.training.defaults import STEPWISE_SEQ

if TYPE_CHECKING:
    from zoo.comparison import Comparison
    from zoo.storage.document_marker import DocumentMarker


def split_names(text: str | None) -> list[str]:
    """Split a comma-separated list, whose items may be stacks; drop empty parts."""
    return list(filter(None, split_at_commas(text or "")))


def parse_rates(text: str | None) -> list[float] | None:
    """Parse a comma-separated list of learning rates.

    Raises:
        UsageError: if one is not a number.
    """
    if text is None:
        return None
    try:
        return [float(part) for part in split_names(text)]
    except ValueError:
        raise UsageError(
            f"compare: --lr-grid {text!r}; expected numbers with commas, as in 0.001,0.003."
        ) from None


def parse_sizes(name: str, text: str | None) -> list[int] | None:
    """Parse a comma-separated list of sizes.

    Raises:
        UsageError: if one is not a whole number.
    """
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(
            f"compare: {name} is {short_repr(text)}; expected an integer, or several with commas, as in "
            f"1000,4000."
        ) from None


def parse_options(
    cells: Sequence[str],
    tasks: Sequence[str],
    settings: Mapping[str, Any],
    assignments: Sequence[str],
    blocks: Sequence[str] = (),
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Parse ``--set``: options of cells and tasks by label, and settings of all runs.

    Args:
        cells: Values of ``--cells``.
        tasks: Values of ``--tasks``.
        settings: Settings from other flags.
        assignments: Values of ``--set``.
        blocks: Values of ``--block``.

    Raises:
        ZooError: if a name is unknown or a value is not allowed.
    """
    labelled, _ = in_blocks(label_specs("cell", cells), blocks)
    of_tasks = {label: task_class(spec) for label, spec in label_specs("task", tasks)[0].items()}
    optimizer = component_class(Optimizer, settings.get("optimizer", Config.optimizer))
    targets: list[Target] = [target for label, spec in labelled.items() for target in _targets(label, spec)]
    targets += [
        *(component_target(label, task) for label, task in of_tasks.items()),
        component_target("optimizer", optimizer),
        schedule_target(settings.get("schedule", DEFAULTS["schedule"])),
        *([loss_target(settings.get("loss") or default_loss(settings))] if settings.get("data") else []),
    ]
    assigned = assign(assignments, targets)
    for label, spec in labelled.items():
        for layer in range(len(layer_names(spec)) if is_stack(spec) else 0):
            of_layer = assigned.pop(f"{label}.l{layer}")
            assigned[label] |= {f"l{layer}.{name}": value for name, value in of_layer.items()}
    chosen = {label: options for label, options in assigned.items() if options}
    names = [name for name in ("optimizer", "schedule", "loss") if name in chosen]
    ours = {f"{name}_options": chosen.pop(name) for name in names}
    return chosen, ours


def _targets(label: str, spec: str) -> list[Target]:
    """The options of a cell; of a stack, those of all layers and those of each layer, ``LABEL.l0.NAME``."""
    if not is_stack(spec):
        return [component_target(label, cell_class(spec))]
    layers = [component_target(f"{label}.l{layer}", cell) for layer, cell in enumerate(cell_classes(spec))]
    readers = {name: reader for target in layers for name, reader in target.readers.items()}
    return [Target(label, f"stack {label!r}", readers), *layers]


_HELP = """Train cells on tasks or on your data under equal conditions.

zoo trains every cell on every task with several seeds and an equal number of parameters. The learning rate
is the best of a grid in short runs. Without --block, layers have no norms and, without --residual, no
residual connections. A comparison is a directory: the same command continues after an interruption and runs
only what is missing. You can add cells, tasks, sizes and seeds later; settings that you leave out stay as
they were.
The tables compare each cell with the best one, or with the cell that --reference names.

A table to forecast, or labelled sequences, take the place of a task: --data with the flags of `zoo train`.
Several files are data sets of their own. The scores of simple baselines are rows of the table.

\b
  zoo compare --cells vanilla,gru,lem --tasks copying,adding --out runs/memory
  zoo compare --out runs/memory --cells lstm --seeds 10
  zoo compare --out runs/memory --reference vanilla
  zoo compare --cells gru,lem --tasks copying --params 1000,4000,16000
  zoo compare --cells lstm,gru --block bare,prenorm --tasks copying
  zoo compare --cells '(2*griffin(rg_lru),griffin(lstm)),griffin(lstm)' --tasks copying
  zoo compare --cells lstm,gru --data load.csv --target load --horizon 24
  zoo compare --cells lstm,gru --data walks.csv --series id --label activity
"""


def _adapted(flag: Flag) -> Flag:
    """A flag of ``zoo train`` with the default of a comparison."""
    other = copy.copy(flag)
    if flag.name == "schedule":
        text, _, _ = (flag.help or "").partition("  [")
        other.help = f"{text}  [cosine, after a warm-up over 5 % of the updates]"
    if flag.name == "split_seed":
        other.help = (
            "Seed that divides sequences, or groups of series, into parts, the same for all runs.  [0]"
        )
    if flag.name == "seq":  # no text is compared
        other.section = SEQUENCES
        other.help = f"Time steps of a window of training, with --pooling none.  [{STEPWISE_SEQ}]"
    return other


_TRAINING = [_adapted(flag) for flag in FLAGS if flag.name in SETTINGS]
_OF_DATA = [
    Flag(
        "--data",
        section=DATA,
        multiple=True,
        metavar="FILE",
        help="A table to forecast, or labelled sequences; may be repeated, for several data sets.",
    ),
    *(_adapted(flag) for flag in FLAGS if flag.name in DATA_SETTINGS),
]

_COMPARED, _LENGTH = "Cells and tasks", "Size and length"

_RATE, _WORK = "Learning rate", "Execution and results"

_FLAGS: list[click.Parameter] = [
    Flag(
        "--cells",
        section=_COMPARED,
        metavar="A,B",
        help="Cells: NAME or FILE.py:Class, with modifiers in the same forms, as in lstm+zoneout; LABEL=NAME "
        "for a cell twice; '(lstm,gru)' for a stack with these layers, and '2*lstm' for two of the same.",
    ),
    Flag(
        "--block",
        section=_COMPARED,
        metavar="A,B",
        help="Blocks: NAME or FILE.py:Class. Every cell is compared in every block.  [bare]",
    ),
    Flag("--tasks", section=_COMPARED, metavar="X,Y", help="Tasks: NAME, FILE.py:Class or LABEL=NAME."),
    Flag("--seeds", section=_COMPARED, type=int, metavar="N", help="Runs of each cell on each task.  [5]"),
    Flag(
        "--set",
        "assignments",
        section=_COMPARED,
        multiple=True,
        metavar="NAME.OPTION=VALUE",
        help="Set an option of a cell or task, for example lru.r_min=0.9, or of the optimizer or schedule, "
        "for example optimizer.beta1=0.8; may be repeated.",
    ),
    *_OF_DATA,
    Flag(
        "--params",
        section=_LENGTH,
        metavar="N,M",
        help="Parameters of every cell, as nearly as possible; with several numbers, the cells are compared "
        "at each of them.  [20000]",
    ),
    Flag(
        "--hidden",
        section=_LENGTH,
        metavar="N,M",
        help="Hidden units of every cell, instead of --params; one or several numbers.",
    ),
    Flag("--steps", section=_LENGTH, type=int, metavar="N", help="Updates of every run.  [2000]"),
    Flag(
        "--seconds",
        section=_LENGTH,
        type=float,
        metavar="S",
        help="Seconds of every run, instead of --steps: zoo measures the step time of each cell once.",
    ),
    Flag("--lr", section=_RATE, type=float, metavar="X", help="Learning rate of all runs."),
    Flag(
        "--lr-grid",
        section=_RATE,
        metavar="X,Y,Z",
        help="Learning rates to choose from, for each cell on each task at each size.  [three around the "
        "optimizer's own]",
    ),
    Flag(
        "--sweep-steps",
        section=_RATE,
        type=int,
        metavar="N",
        help="Updates of the short runs that choose it.  [a fifth of --steps]",
    ),
    Flag(
        "--sweep-rounds",
        section=_RATE,
        type=int,
        metavar="N",
        help="Rounds that continue a sweep without a decision: with longer runs while no rate is better than "
        "the memoryless baseline, then with rates beyond the grid while the best one is at its edge. Then "
        "the run at the best rate is repeated with another seed.  [8; 0 with --lr-grid or --sweep-steps]",
    ),
    *_TRAINING,
    Flag(
        "--reference",
        section=_WORK,
        metavar="CELL",
        help="The cell with which tables compare all others, by its label or as in --cells; changes no run. "
        "`best` is the best cell of each table.  [best]",
    ),
    Flag("--jobs", section=_WORK, type=int, metavar="N", help="Worker processes.  [every processor]"),
    Flag(
        "--on",
        section=_WORK,
        metavar="EXECUTOR",
        help="Executor of the runs: local, dask://HOST:PORT (a Dask scheduler) or dask+slurm (--jobs is then "
        "the number of SLURM jobs).  [local]",
    ),
    Flag(
        "--out",
        section=_WORK,
        metavar="DIR",
        help="The directory of the comparison.  [the next free runs/compare-TASKS-N]",
    ),
    Flag(
        "--markdown",
        section=_WORK,
        metavar="FILE[#NAME]",
        help="Write the tables as Markdown; into an existing file at its marker, with this name if given.",
    ),
    Flag(
        "--latex",
        section=_WORK,
        metavar="FILE",
        help="Write the tables as LaTeX with the package booktabs, into a file to read with \\input.",
    ),
    Flag("--strict", section=_WORK, is_flag=True, help="Exit with 1 if a run failed or diverged."),
    Flag("--quiet", section=_WORK, is_flag=True, help="Print only warnings and errors."),
    Flag("--json", "as_json", section=_WORK, is_flag=True, help="Print each event as one line of JSON."),
    Flag("--plugin", **PLUGIN),
]


def run(
    assignments: Sequence[str],
    markdown: str | None,
    latex: str | None,
    strict: bool,
    quiet: bool,
    as_json: bool,
    plugin: Sequence[str],
    **flags: Any,
) -> None:
    """Compare; the arguments come from the command line, with None for flags that were not given."""
    from zoo.cli.compare_display import open_compare_display
    from zoo.comparison.paper_files import check_latex, write_latex
    from zoo.storage.document_marker import parse_marker
    from zoo.training import Interrupted

    marker = parse_marker(markdown, "compare") if markdown else None
    if marker:
        marker.check()
    if latex:
        check_latex(Path(latex))
    load_plugins(plugin)
    flags, losses = register_loss_file(flags)
    arguments = _arguments(flags, assignments)
    try:
        with open_compare_display(quiet, as_json) as display:
            comparison = zoo.compare(**arguments, on_event=display)
    except Interrupted as stopped:
        specs, _ = in_blocks(label_specs("cell", arguments["cells"]), arguments["block"])
        optimizer = arguments.get("optimizer")
        files = repeated_flags(
            [*plugin, *losses], cells=[*specs.values()], tasks=arguments["tasks"], optimizer=[optimizer]
        )
        words = ["--out", str(stopped.path), *_executor_flags(arguments), *files]
        exit_interrupted(stopped, ["zoo", "compare", *words])
    if not quiet and not as_json:
        _show(comparison)
    if marker:
        _write(marker, comparison)
    if latex:
        write_latex(comparison, Path(latex))
    if strict and comparison.failures:
        raise click.exceptions.Exit(1)


def _stored_tasks(out: str | None, tasks: Sequence[str], *, is_new: bool) -> list[str]:
    """The tasks of the comparison in a directory that have a registered name and are not given.

    Args:
        out: The directory.
        tasks: The tasks that are given.
        is_new: Whether cells, tasks or data are given, so that a comparison can begin.

    Raises:
        UsageError: if the directory holds no comparison, and none can begin.
    """
    plan = None if out is None else read_plan(Path(out))
    if plan is None and out is not None and not is_new:
        raise UsageError(
            f"compare: --out {out} holds no comparison; name the directory of one, or begin one with "
            f"--cells and --tasks or --data."
        )
    given = label_specs("task", tasks)[0]
    entries = (
        {} if plan is None else {label: entry for label, entry in plan.tasks.items() if label not in given}
    )
    return [f"{label}={entry.spec}" for label, entry in entries.items() if entry.spec == entry.name]


def _arguments(flags: dict[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """The arguments of ``zoo.compare``."""
    cells, tasks = split_names(flags.pop("cells")), split_names(flags.pop("tasks"))
    settings = {
        name: value
        for flag in (*_OF_DATA, *_TRAINING)
        if (value := flags.pop(name := str(flag.name))) is not None and value != ()
    }
    blocks = split_names(flags.pop("block"))
    is_new = bool(cells or tasks or settings.get("data"))
    stored = _stored_tasks(flags["out"], tasks, is_new=is_new) if assignments else []
    options, chosen = parse_options(cells, [*tasks, *stored], settings, assignments, blocks)
    flags["lr_grid"] = parse_rates(flags["lr_grid"])
    flags |= {name: parse_sizes(name, flags[name]) for name in ("params", "hidden")}
    return {
        **flags,
        **settings,
        **chosen,
        "cells": cells,
        "block": blocks,
        "tasks": tasks,
        "options": options,
    }


def _executor_flags(arguments: dict[str, Any]) -> list[str]:
    """Flags of the executor, which no file stores."""
    jobs = [] if arguments["jobs"] is None else [f"--jobs={arguments['jobs']}"]
    return [f"--on={arguments['on']}", *jobs] if arguments["on"] else []


def _show(comparison: Comparison) -> None:
    from zoo.cli.terminal import is_terminal, make_console, show_table
    from zoo.comparison.result_warnings import list_warnings
    from zoo.comparison.tables import make_tables

    width = make_console().width if is_terminal() else _WIDTH
    for table in make_tables(comparison):
        for block in table.as_text().fit(width).blocks(width):
            show_table(block)
    echo()
    for line in list_warnings(comparison):
        echo(line)
    echo(f"{comparison.path / 'results.json'} and results.csv hold every run.")
    echo(f"see it with: {shlex.join(['zoo', 'report', str(comparison.path)])}")


_WIDTH = 120  # of tables that are not printed on a terminal


def _write(marker: DocumentMarker, comparison: Comparison) -> None:
    from zoo.comparison.result_warnings import list_warnings
    from zoo.comparison.setup_description import describe_setup
    from zoo.comparison.tables import make_tables

    about = "\n".join(f"{line}  " for line in describe_setup(comparison)).rstrip()
    notes = "\n".join(f"- {line}" for line in list_warnings(comparison))
    paragraphs = [
        about,
        *(table.as_text().markdown_section() for table in make_tables(comparison)),
        *([notes] if notes else []),
    ]
    marker.write(comparison.metadata["command"], paragraphs)


command = Command("compare", callback=run, params=_FLAGS, help=_HELP)
