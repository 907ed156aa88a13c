"""Warnings about the results of a comparison, such as failed runs and undecided learning rates."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from zoo.arguments import counted
from zoo.comparison.model_info import merge_layers
from zoo.comparison.number_text import enumerate_texts
from zoo.comparison.plan import TOLERANCE
from zoo.comparison.sweep import groups_with_verdict
from zoo.comparison.tables import assignments

if TYPE_CHECKING:
    from zoo.comparison.records import RunGroup, RunRecord
    from zoo.comparison.results import Comparison


def list_warnings(results: Comparison) -> Iterator[str]:
    """Warnings about the results, a sentence each."""
    for records in _group_failures(results):
        run, others = records[0], len(records) - 1
        runs = run.path + (f" and {counted(others, 'other run')}" if others else "")
        advice = (
            " Remove the cause and repeat the command, which tries failed runs again and keeps finished ones."
            if run.status == "failed"
            else ""
        )
        yield f"{results.group_text(run.group)} {run.status} ({runs}): {run.error.removesuffix('.')}.{advice}"
    yield from _equal_entries(results)
    yield from _solved_in_validation_only(results)
    yield from _off_budget(results)
    yield from equal_size_sentences({row.group: row.hidden for row in results.summary})
    yield from _fixed_size_options(results)
    yield from _uncustomary_options(results)
    yield from _undecided_rates(results)


def _group_failures(results: Comparison) -> list[list[RunRecord]]:
    """The runs of each group that did not finish, by their reasons if they failed."""
    groups: dict[tuple[RunGroup, str, str], list[RunRecord]] = {}
    for run in results.failures:
        reason = run.error if run.status == "failed" else ""  # of divergence it names the step and the rate
        groups.setdefault((run.group, run.status, reason), []).append(run)
    return list(groups.values())


def _equal_entries(results: Comparison) -> Iterator[str]:
    """Cells, tasks and data sets that have several labels, and the same code, data and options."""
    for name, noun in (("cells", "cell"), ("tasks", "task or data set")):
        labels = dict[str, list[str]]()
        for entry in results.plan.get(name, ()):
            key = [None if "data" in entry else entry["name"], entry["source"], entry["options"]]
            labels.setdefault(json.dumps(key, sort_keys=True), []).append(entry["label"])
        for equal in labels.values():
            if len(equal) > 1:
                yield (
                    f"{', '.join(equal[:-1])} and {equal[-1]} are the same {noun} with the same options, so "
                    f"their results are equal, and mean ranks count them several times."
                )


def _solved_in_validation_only(results: Comparison) -> Iterator[str]:
    """Runs that reach the threshold in a validation, and not in the test."""
    for row in results.summary:
        runs = results.runs_of_group(row.group)
        count = sum(run.steps_to_threshold is not None and not run.solved for run in runs)
        if count:
            group = results.group_text(row.group)
            yield (
                f"{group}: {counted(count, 'run')} reached the threshold in a validation "
                f"and not in the test; 'steps to solve' counts such runs, 'solved' does not."
            )


def _off_budget(results: Comparison) -> Iterator[str]:
    has_budget = "params" in results.section("plan")["size"]
    for row in results.summary if has_budget else ():
        budget = row.group.size
        if abs(row.parameters - budget) > TOLERANCE * budget:
            yield (
                f"{row.cell} on {row.task} has {row.parameters:,} parameters, the number nearest to "
                f"{budget:,} that its sizes allow."
            )


def equal_size_sentences(hidden_sizes: Mapping[RunGroup, int]) -> Iterator[str]:
    """Cells with equally many hidden units at several sizes.

    Args:
        hidden_sizes: The hidden units of each group of runs.
    """
    sizes: dict[tuple[str, str, int], list[int]] = {}
    for (task, cell, size), hidden in hidden_sizes.items():
        sizes.setdefault((cell, task, hidden), []).append(size)
    for (cell, task, hidden), equal in sizes.items():
        if len(equal) > 1:
            listed = enumerate_texts([f"{size:,}" for size in sorted(equal)])
            yield (
                f"{cell} on {task} has {hidden:,} hidden units at each of the budgets {listed}, so it is the "
                f"same model there; give budgets that differ by more."
            )


_TIMES = ("delay", "k", "stride", "width")
"""Options that count time steps, such as the window of a convolution. They need not grow with H."""


def _fixed_size_options(results: Comparison) -> Iterator[str]:
    """Cells with arrays that stay as large as they are when H changes."""
    cells = list[str]()
    for cell in results.cells:
        sizes = results.fixed_size_options(cell).items()
        fixed = {name: size for name, size in sizes if re.split(r"[_.]", name)[-1] not in _TIMES}
        cells += [f"{cell} ({assignments(results, cell, fixed, ', ')})"] * bool(fixed)
    if not cells:
        return
    scope, advice = "this one", "Set them with `--set CELL.OPTION=N`."
    if results.has_several_sizes:
        scope = "some of the sizes compared"
        advice = "A comparison has one value of an option at all sizes; set it with `--set CELL.OPTION=N`."
    yield (
        f"These sizes do not change with H, and may be too large or too small at {scope}: "
        f"{', '.join(cells)}. {advice}"
    )


def _uncustomary_options(results: Comparison) -> Iterator[str]:
    """Cells without the customary value of an option in any of their rows."""
    for cell in results.cells:
        name, own = results.registered_name(cell), results.stated_options(cell)
        rows = [each for each in results.cells if results.registered_name(each) == name]
        customary = {
            option: value
            for option, value in results.customary_options(cell).items()
            if all(results.stated_options(each).get(option) != value for each in rows)
        }
        if customary:
            chosen = assignments(results, cell, {option: own[option] for option in customary}, ", ")
            others = {option: value for option, value in own.items() if option not in customary}
            yield (
                f"{cell} has {chosen}, and {assignments(results, cell, customary, ', ')} is customary. "
                f"Compare with it too: `{_flags(results, cell, f'{cell}-customary', others)}`."
            )


def _flags(results: Comparison, cell: str, label: str, options: Mapping[str, Any]) -> str:
    """The flags that add a cell under a label, with some options."""
    words = ["--cells", f"{label}={results.registered_name(cell)}"]
    for name, value in merge_layers(options, results.options(cell)).items():
        words += ["--set", f"{label}.{name}={value}"]
    return shlex.join(words)


def _undecided_rates(results: Comparison) -> Iterator[str]:
    """Groups of runs with a sweep that has not decided."""
    sentences = {
        "edge": "The best learning rate of the sweep is at its edge for {}; a better one may lie beyond, "
        "so raise `--sweep-rounds`, or give other rates with `--lr-grid`.",
        "plateau": "No learning rate of the sweep is clearly better than the memoryless baseline for {}; "
        "their rates may be chosen by chance.",
    }
    for word, sentence in sentences.items():
        if groups := groups_with_verdict(results, word):
            yield sentence.format(", ".join(groups))
