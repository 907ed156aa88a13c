"""Does every cell learn? Trains each with default settings for so many steps, and makes a table of it.

    python tools/train_all_cells.py --out runs/trainability --page docs/zoo/trainability.md
    python tools/train_all_cells.py --out runs/trainability --cells lstm,gru

Each cell has a run of its own in the directory. What is finished is not trained again, and what was stopped
goes on, so the command may be killed and given again; with more cells it trains those that are new.

The line to beat is the entropy of a symbol of the validation text given the one before it: no table of pairs
of symbols, not even one made from that very text, predicts it better, so a cell below the line remembers more
than the last symbol. Who is not below it and whose card does not say why makes the command fail; so does a
card that excuses a cell which needs no excuse.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import zoo
from zoo.cell_pages.markdown import prose, wrapped
from zoo.data import BpttBatches
from zoo.storage.atomic import write_bytes
from zoo.tables import TextTable
from zoo.training import Config, Interrupted, prepare_text
from zoo.training.evaluation import bits

DATA, STEPS = "builtin:pydoc", 3000
MADE = "<!-- made by: python tools/train_all_cells.py -->"


@dataclass(frozen=True)
class Trained:
    """What became of a cell.

    Args:
        cell: Its name.
        family: Its family.
        scope: Whether it is a bare recurrence or a whole mixer, as on its card.
        steps: Updates.
        nats: Validation loss after the last of them; None if training diverged.
        line: The line to beat, in nats.
        excuse: What its card says of its trainability.
    """

    cell: str
    family: str
    scope: str
    steps: int
    nats: float | None
    line: float
    excuse: str

    @property
    def is_below(self) -> bool:
        """Whether it beats the line."""
        return self.nats is not None and self.nats < self.line

    @property
    def is_as_expected(self) -> bool:
        """Whether it does what its card lets one expect."""
        return self.is_below != bool(self.excuse)

    @property
    def verdict(self) -> str:
        """In words."""
        if self.is_below:
            return "below the line" + ", though its card says otherwise" * bool(self.excuse)
        found = "diverged" if self.nats is None else "not below"
        return f"{found}: {self.excuse or 'and its card does not say why'}"


def train_all(names: Iterable[str], out: Path, data: str, steps: int, hidden: int) -> Iterator[Trained]:
    """Train cells one after the other, each in a directory of its own, or read what was trained before.

    Raises:
        ZooError: if a run in the directory has other settings, or the text cannot be read.
    """
    line = pair_entropy(prepare_text(Config(data=(data,)))[1].valid)
    for name in names:
        cls = type(zoo.get_cell(name))
        nats = trained(name, out / name, data, steps, hidden)
        yield Trained(name, cls.family, cls.card.scope, steps, nats, line, cls.card.trainability)


def trained(name: str, out: Path, data: str, steps: int, hidden: int) -> float | None:
    """The validation loss of a cell after its last step; None if training diverged."""
    settings = {"steps": steps, "hidden": hidden, "eval_every": steps, "save_every": max(1, steps // 5)}
    if not has_diverged(out):
        try:
            zoo.train(data, name, out=out, resume=True, **settings)
        except zoo.ZooError:
            if not has_diverged(out):
                raise
    return None if has_diverged(out) else zoo.Run(out).best_loss


def has_diverged(out: Path) -> bool:
    """Whether there is a run that came to no end because its loss did."""
    return (out / "log.jsonl").exists() and zoo.Run(out).ended == "diverged"


def pair_entropy(streams: BpttBatches) -> float:
    """Nats of a symbol given the one before it, over what is predicted of a text."""
    windows = [streams.window(index) for index in range(streams.windows_per_epoch)]
    pairs = np.concatenate([np.stack([each.inputs, each.targets]).reshape(2, -1) for each in windows], axis=1)
    _, both = np.unique(pairs, axis=1, return_counts=True)
    _, first = np.unique(pairs[0], return_counts=True)
    return entropy(both) - entropy(first)


def entropy(counts: np.ndarray) -> float:
    """Nats of a distribution."""
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def page(found: list[Trained], data: str, steps: int, hidden: int) -> str:
    """The table in Markdown, the best first."""
    line = found[0].line
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    intro = (
        f"Bare layers, {steps:,} steps: one layer of {hidden} units of each cell, without an embedding, a "
        f"norm or a residual connection, after {steps:,} steps on `{data}` with the default settings of "
        "`zoo train`. The table has the loss on the validation text, in nats and in bits per symbol. The "
        f"line to beat is {line:.3f} nats, {bits(line):.3f} bits: the entropy of a symbol of that text "
        "given the one before it, which no table of pairs can beat. A cell below the line learns. The "
        "order of the rows follows from this protocol, with one learning rate for all cells and no block "
        "around any, and ranks nothing. In the blocks of their papers, lru, gla, s5, retnet and "
        "gated_delta_net come to 1.85 to 2.16 nats within 300 steps ([two layers, 30,000 "
        "parameters](../results.md#what-one-change-does)). The built-in text depends on the version of "
        f"Python; this one is that of {python}."
    )
    ranked = sorted(found, key=lambda each: (math.inf if each.nats is None else each.nats, each.cell))
    rows = tuple(
        (
            f"[{each.cell}]({each.family}/{each.cell}.md)",
            each.scope,
            *("-" if each.nats is None else f"{value:.3f}" for value in (each.nats, bits(each.nats or 0.0))),
            prose(each.verdict),
            f"{each.steps:,}",
        )
        for each in ranked
    )
    headings = ("cell", "scope", "nats", "bits", "verdict", "steps")
    body = [*TextTable("", headings, rows, right=(2, 3, 5)).markdown(), ""]
    return "\n".join([MADE, "", "# What each cell learns in a short run", "", *wrapped(intro), "", *body])


def command_line() -> argparse.ArgumentParser:
    """What may be asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the runs are")
    parser.add_argument("--cells", metavar="A,B", help="which cells, by name; all if not given")
    parser.add_argument("--data", default=DATA, metavar="TEXT", help=f"a file or builtin:NAME; {DATA}")
    parser.add_argument("--steps", type=int, default=STEPS, metavar="N", help=f"updates; {STEPS}")
    parser.add_argument("--hidden", type=int, default=Config().hidden, metavar="N", help="hidden units")
    parser.add_argument("--page", type=Path, metavar="FILE.md", help="where to write the table")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Train what was asked for, tell of each as it is done, write the table; 1 if a cell surprises."""
    chosen = command_line().parse_args(arguments)
    what = (chosen.data, chosen.steps, chosen.hidden)
    found = []
    try:
        names = chosen.cells.split(",") if chosen.cells else zoo.list_cells()
        for each in train_all(names, chosen.out, *what):
            found.append(each)
            nats = "diverged" if each.nats is None else f"{each.nats:.3f} nats"
            print(f"{each.cell:<20} {nats}  (line {each.line:.3f})  {each.verdict}", flush=True)
    except (zoo.ZooError, Interrupted) as stopped:
        print(f"Error: {stopped}", file=sys.stderr)
        return 1
    if chosen.page:
        write_bytes(chosen.page, page(found, *what).encode())
    return 0 if all(each.is_as_expected for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
