"""Results of papers, and whether the measured models agree with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path

from cell_results import Measured, Results, tasks
from csv_rows import read_rows
from reproduce import CLAIMS, Claim, Model, is_reproduced, label_of, verdict
from reproduce import Row as Reproduction
from result_tables import score_text

from zoo.tables import TextTable

REPRODUCTIONS = Path(__file__).parents[1] / "results" / "reproductions.csv"

EXPECTED: Mapping[str, Mapping[str, bool]] = {
    "adding-lstm": {"lstm": True, "vanilla": False},
    "adding-linear": {"glu(lru)": True, "lru": False},
    "copying": {"urnn": True},
    "selective-copying": {"mamba(mamba)": True, "glu(s4d)": False, "glu(s5)": False, "glu(lru)": False},
    "recall": {"deltanet(delta_net)": True},
    "parity-nonlinear": {"gru": True, "lstm": True, "vanilla": True, "slstm(slstm)": True},
    "parity-positive": {
        "mamba(mamba)": False,
        "retnet(gla)": False,
        "retnet(retnet)": False,
        "deltanet(delta_net)": False,
        "deltanet(gated_delta_net)": False,
        "griffin(rg_lru)": False,
        "mlstm(matrix_lstm)": False,
    },
    "parity-negative": {"deltanet(gated_delta_product)": True},
    "parity-rotations": {"retnet(mamba3)": True, "mamba(mamba2)": False},
    "counting": {"lstm": True, "gru": False},
}
"""Whether models solve the task of a claim of ``tools/reproduce.py``, according to its paper."""


@dataclass(frozen=True)
class Agreement:
    """A result of a paper and a measured model.

    Args:
        claim: The result.
        model: The cell, or ``block(cell)``.
        solves: Whether the model solves the task, according to the paper.
        measured: Its runs.
        repetitions: Runs of the model by ``tools/reproduce.py``, with its settings.
    """

    claim: Claim
    model: str
    solves: bool
    measured: Measured
    repetitions: Sequence[tuple[Model, Sequence[Reproduction]]]

    @property
    def is_repeated(self) -> bool | None:
        """Whether the repetitions agree with the paper; None if there are none."""
        verdicts = [is_reproduced(model, rows) for model, rows in self.repetitions]
        return all(verdicts) if verdicts else None

    @property
    def solved(self) -> int:
        """Number of runs that solve the task."""
        return self.measured.summary.solved if self.measured.summary else 0

    @property
    def agrees(self) -> bool:
        """Whether most runs solve the task, or none does, as the paper says."""
        return 2 * self.solved > len(self.measured.rows) if self.solves else self.solved == 0


def agreements(results: Results) -> Iterator[Agreement]:
    """The results of papers whose models are measured."""
    runs = _reproductions_by_model()
    for claim in CLAIMS:
        for model, solves in EXPECTED.get(claim.name, {}).items():
            own = results.at(*results.models.get(model, ("", "")), claim.task)
            if own is not None and own.summary is not None:
                yield Agreement(claim, model, solves, own, _repetitions(claim, model, runs))


def reproduced_models() -> list[str]:
    """The models of ``results/reproductions.csv``: the cell, or ``block(cell)``."""
    models = (run.model.partition(",")[0] for run in read_rows(REPRODUCTIONS, Reproduction))
    return list(dict.fromkeys(models))


def _reproductions_by_model() -> dict[tuple[str, str], list[Reproduction]]:
    runs: dict[tuple[str, str], list[Reproduction]] = {}
    for run in read_rows(REPRODUCTIONS, Reproduction):
        runs.setdefault((run.claim, run.model), []).append(run)
    return runs


def _repetitions(
    claim: Claim, model: str, runs: Mapping[tuple[str, str], Sequence[Reproduction]]
) -> list[tuple[Model, Sequence[Reproduction]]]:
    return [
        (each, runs[claim.name, label_of(each)])
        for each in claim.models
        if each.spec == model and (claim.name, label_of(each)) in runs
    ]


def paper_table(results: Results) -> TextTable:
    """Results of papers, and whether the measured models agree."""
    rows: list[tuple[str, ...]] = []
    before: Claim | None = None
    for each in agreements(results):
        claim, facts = each.claim, tasks()[each.claim.task]
        rows.append(
            (
                "" if claim is before else f"{claim.claim} [{claim.paper}]({claim.url})",
                f"`{each.model}`",
                facts.title,
                "solved" if each.solves else "not solved",
                score_text(facts, each.measured),
                f"{each.solved}/{len(each.measured.rows)}",
                "yes" if each.agrees else "**no**",
                ", ".join(dict.fromkeys(starmap(verdict, each.repetitions))) or "–",
            )
        )
        before = claim
    headings = ("published result", "model", "task", "published", "score", "solved", "agrees")
    repeated = "agrees with [a larger budget](reproductions.md)"
    return TextTable("", (*headings, repeated), tuple(rows), right=(5,))
