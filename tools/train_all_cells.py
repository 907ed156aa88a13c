"""Train every cell with the default settings for some steps, and make a table of the losses.

    python tools/train_all_cells.py --out runs/trainability --page docs/zoo/trainability.md
    python tools/train_all_cells.py --out runs/trainability --cells lstm,gru

Each cell has its own run in the directory. The command skips finished runs and resumes stopped ones, so you
can kill it and start it again, or add cells. With ``--cells``, the other cells keep their rows of the page.

The reference line is the entropy of a symbol of the validation text given the one before it. No table of
pairs of symbols predicts the text better, even a table of that text itself, so a cell below the line
remembers more than the last symbol. The command fails if a cell is not below the line and its card gives no
reason in ``trainability``, or if the cell is below the line and its card gives one.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import zoo
from zoo.cell_pages.cell_page import prose, wrapped
from zoo.data import BpttBatches
from zoo.storage.atomic import write_bytes
from zoo.tables import TextTable
from zoo.training import Config, Interrupted, prepare_text
from zoo.training.evaluation import bits

DATA, STEPS = "builtin:pydoc", 3000
MADE = "<!-- made by: python tools/train_all_cells.py -->"


@dataclass(frozen=True)
class Trained:
    """Result of training one cell.

    Args:
        cell: Its name.
        family: Its family.
        scope: Whether it is a bare recurrence or a whole mixer, as on its card.
        steps: Optimizer steps.
        nats: Validation loss after the last step. None if training diverged.
        line: The reference line in nats.
        trainability: The reason on its card for a loss above the line.
        bits: The loss in bits, if it was read from the page, where both are rounded.
    """

    cell: str
    family: str
    scope: str
    steps: int
    nats: float | None
    line: float
    trainability: str
    bits: float | None = None

    @property
    def is_below(self) -> bool:
        """Whether the loss is below the line."""
        return self.nats is not None and self.nats < self.line

    @property
    def is_as_expected(self) -> bool:
        """Whether the result agrees with the card."""
        return self.is_below != bool(self.trainability)

    @property
    def verdict(self) -> str:
        """The result in words."""
        if self.is_below:
            return "below the line" + ", though its card says otherwise" * bool(self.trainability)
        result = "diverged" if self.nats is None else "not below"
        return f"{result}: {self.trainability or 'and its card does not say why'}"


def train_all(names: Iterable[str], out: Path, data: str, steps: int, hidden: int) -> Iterator[Trained]:
    """Train cells one after the other, each in its own directory, or read finished runs.

    Raises:
        ZooError: if a run in the directory has other settings, or the text cannot be read.
    """
    line = pair_entropy(prepare_text(Config(data=(data,)))[1].valid)
    for name in names:
        cls = type(zoo.get_cell(name))
        nats = train_cell(name, out / name, data, steps, hidden)
        yield Trained(name, cls.family, cls.card.scope, steps, nats, line, cls.card.trainability)


def train_cell(name: str, out: Path, data: str, steps: int, hidden: int) -> float | None:
    """Train a cell and return its validation loss after the last step, or None if training diverged."""
    settings = {"steps": steps, "hidden": hidden, "eval_every": steps, "save_every": max(1, steps // 5)}
    if not has_diverged(out):
        try:
            zoo.train(data, name, out=out, resume=True, **settings)
        except zoo.ZooError:
            if not has_diverged(out):
                raise
    return None if has_diverged(out) else zoo.Run(out).best_loss


def has_diverged(out: Path) -> bool:
    """Return whether the run in a directory has diverged."""
    return (out / "log.jsonl").exists() and zoo.Run(out).ended == "diverged"


def pair_entropy(streams: BpttBatches) -> float:
    """Compute the entropy in nats of a symbol given the one before it, over the targets of a text."""
    windows = [streams.window(index) for index in range(streams.windows_per_epoch)]
    pairs = np.concatenate([np.stack([each.inputs, each.targets]).reshape(2, -1) for each in windows], axis=1)
    _, both = np.unique(pairs, axis=1, return_counts=True)
    _, first = np.unique(pairs[0], return_counts=True)
    return entropy(both) - entropy(first)


def entropy(counts: np.ndarray) -> float:
    """Compute the entropy of a distribution in nats."""
    probabilities = counts / counts.sum()
    return float(-(probabilities * np.log(probabilities)).sum())


_ROW = re.compile(r"^\| \[(\w+)\]\(\S+\) \| \w+ \| ([\d.]+|-) \| ([\d.]+|-) \|$", re.MULTILINE)
_LINE = re.compile(r"^\| \*entropy [^|]*\|[^|]*\| ([\d.]+) \|", re.MULTILINE)


def rows_of_page(text: str, line: float, steps: int) -> list[Trained]:
    """Read the results of cells that still exist from a page.

    Raises:
        UsageError: if the page is about another text.
    """
    old = _LINE.search(text)
    if old is None or old[1] != f"{line:.3f}":
        raise zoo.UsageError(
            f"the page is about another text: its line is {old[1] if old else 'missing'}, and the line of "
            f"this text {line:.3f}; train all cells, or write another page."
        )
    results = []
    for name, *losses in _ROW.findall(text):
        nats, in_bits = (None if loss == "-" else float(loss) for loss in losses)
        if name in zoo.list_cells():
            cls = type(zoo.get_cell(name))
            card = cls.card
            results.append(
                Trained(name, cls.family, card.scope, steps, nats, line, card.trainability, in_bits)
            )
    return results


def page(results: list[Trained], data: str, steps: int, hidden: int) -> str:
    """Write the table in Markdown, sorted by loss."""
    line = results[0].line
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    intro = (
        f"This table shows the validation loss of each cell after {steps:,} steps on `{data}`, in nats and "
        f"in bits per symbol. Each model is a bare layer of {hidden} units, without an embedding, a norm or "
        "a residual connection, trained with the default settings of `zoo train`. One row is the entropy of "
        f"a symbol of the validation text given the previous symbol, {line:.3f} nats or {bits(line):.3f} "
        "bits. No table of pairs of symbols has a lower loss, so a cell in the rows before it remembers more "
        "than the previous symbol. Do not rank cells by this table: all used one learning rate and no block. "
        "In the blocks of their papers, lru, gla, s5, retnet and gated_delta_net reach 1.85 to 2.16 nats "
        "within 300 steps ([two layers, 30,000 parameters](../results.md#what-one-change-does)). The "
        f"built-in text depends on the version of Python. These runs used Python {python}."
    )
    ranked = sorted(results, key=lambda each: (math.inf if each.nats is None else each.nats, each.cell))
    lower, higher = ([each for each in ranked if each.is_below is wanted] for wanted in (True, False))
    rows = (
        *map(_row, lower),
        ("*entropy given the previous symbol*", "", f"{line:.3f}", f"{bits(line):.3f}"),
        *map(_row, higher),
    )
    body = [*TextTable("", ("cell", "scope", "nats", "bits"), rows, right=(2, 3)).markdown(), ""]
    if higher:
        reasons = tuple(
            (each.cell, prose(each.trainability or "Its card gives no reason.")) for each in higher
        )
        body += ["Reasons for the cells with a loss above the entropy:", ""]
        body += [*TextTable("", ("cell", "reason"), reasons).markdown(), ""]
    return "\n".join([MADE, "", "# What each cell learns in a short run", "", *wrapped(intro), "", *body])


def _row(each: Trained) -> tuple[str, ...]:
    in_bits = each.bits if each.bits is not None or each.nats is None else bits(each.nats)
    losses = ("-" if value is None else f"{value:.3f}" for value in (each.nats, in_bits))
    return f"[{each.cell}]({each.family}/{each.cell}.md)", each.scope, *losses


def argument_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="directory of the runs")
    parser.add_argument("--cells", metavar="A,B", help="names of cells (default: all)")
    parser.add_argument(
        "--data", default=DATA, metavar="TEXT", help=f"file or builtin:NAME (default: {DATA})"
    )
    parser.add_argument(
        "--steps", type=int, default=STEPS, metavar="N", help=f"optimizer steps (default: {STEPS})"
    )
    parser.add_argument("--hidden", type=int, default=Config().hidden, metavar="N", help="hidden units")
    parser.add_argument("--page", type=Path, metavar="FILE.md", help="file for the table")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Train the cells, print each result, write the table, and return 1 if a result contradicts a card."""
    options = argument_parser().parse_args(arguments)
    settings = (options.data, options.steps, options.hidden)
    results = []
    try:
        names = options.cells.split(",") if options.cells else zoo.list_cells()
        for each in train_all(names, options.out, *settings):
            results.append(each)
            nats = "diverged" if each.nats is None else f"{each.nats:.3f} nats"
            print(f"{each.cell:<20} {nats}  (line {each.line:.3f})  {each.verdict}", flush=True)
        if options.page:
            others = []
            if options.page.exists():
                trained = {each.cell for each in results}
                rows = rows_of_page(options.page.read_text(encoding="utf-8"), results[0].line, options.steps)
                others = [each for each in rows if each.cell not in trained]
            write_bytes(options.page, page(results + others, *settings).encode())
    except (zoo.ZooError, Interrupted) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0 if all(each.is_as_expected for each in results) else 1


if __name__ == "__main__":
    sys.exit(main())
