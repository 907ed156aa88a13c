"""Repeat published results, and write them to a page.

    python tools/reproduce.py results/reproductions.csv --page docs/reproductions.md
    python tools/reproduce.py results/reproductions.csv --only parity-nonlinear,s3

The file has a line for each run. The command skips models whose lines exist, so that you can stop it and
start it again. All settings are below. The learning rates were chosen by trial. Each run keeps the parameters
with the best validation, and is scored on the test part.
"""

from __future__ import annotations

import argparse
import datetime
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

from csv_rows import append_rows, read_rows

import zoo
from zoo.base.metric import metric_text
from zoo.registry import resolve_cell, split_name
from zoo.storage.document_marker import DocumentMarker
from zoo.tables import TextTable

SEEDS = 3
COSINE: Mapping[str, Any] = {"schedule": "cosine", "schedule_options": {"warmup": 0.05}}


@dataclass(frozen=True)
class Model:
    """A model that is trained.

    Args:
        spec: The cell, with its block; or ``FILE.py:Class``.
        solves: Whether it solves the task according to the paper. None if the paper does not have it.
        lr: The learning rate.
        settings: Other settings of ``zoo.compare``.
        options: Options of the cell.
        published: The number in the paper, or its words in quotes where it has a figure only, and the place
            where they stand. Empty if they were not looked up.
    """

    spec: str
    solves: bool | None
    lr: float
    settings: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    published: str = ""


@dataclass(frozen=True)
class Claim:
    """A published result and the models that repeat it.

    Args:
        name: Its name.
        claim: What the paper found.
        paper: Authors and year.
        url: Address of the paper.
        task: The task.
        models: The models.
        options: Options of the task.
        settings: Settings of all models.
    """

    name: str
    claim: str
    paper: str
    url: str
    task: str
    models: Sequence[Model]
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


CHRONO_LSTM = f"{Path(__file__).with_name('chrono_lstm.py')}:ChronoLSTM"

_GRAZZI = "Grazzi et al. 2024", "https://arxiv.org/abs/2411.12537"
_GU_DAO = "Gu & Dao 2023", "https://arxiv.org/abs/2312.00752"
_MERRILL = "Merrill et al. 2024", "https://arxiv.org/abs/2404.08819"
_WEISS = "Weiss et al. 2018", "https://aclanthology.org/P18-2117"

SLSTM = "scaled accuracy 1.000 of the sLSTM, Table 3"
PERFECT = '"performs perfectly", section 4.1'
ACCEPTED = "a^1000 b^1000 accepted, notebook of its code"
REJECTED = "a^1000 b^1000 rejected, notebook of its code"
RNN_COMPOSES = '"learn the word problem for arbitrarily long sequences", section 6'

CLAIMS = (
    Claim(
        "parity-nonlinear",
        "Nonlinear recurrent networks learn parity, also for longer sequences.",
        *_GRAZZI,
        "parity",
        [
            Model("gru", True, 0.005, published=SLSTM),
            Model("lstm", True, 0.005, published=SLSTM),
            Model("vanilla", True, 0.001, published=SLSTM),
            Model("slstm(slstm)", True, 0.005, COSINE, published="scaled accuracy 1.000, Table 3"),
        ],
        settings={"hidden": 64, "steps": 5000},
    ),
    Claim(
        "parity-positive",
        "Linear recurrences whose eigenvalues are all positive do not learn parity.",
        *_GRAZZI,
        "parity",
        [
            Model("mamba(mamba)", False, 0.004, published="scaled accuracy 0.000, Table 3"),
            Model("retnet(gla)", False, 0.004, published='"incapable of solving parity", section 4.1'),
            Model("deltanet(delta_net)", False, 0.004, published="scaled accuracy 0.017, Table 3"),
            Model("mlstm(matrix_lstm)", False, 0.004, published="scaled accuracy 0.087, Table 3"),
        ],
        settings={"hidden": 32, "steps": 3000, **COSINE},
    ),
    Claim(
        "parity-negative",
        "With negative eigenvalues they learn it.",
        *_GRAZZI,
        "parity",
        [
            Model(
                "prenorm(gated_delta_product)",
                True,
                0.004,
                published="scaled accuracy 1.000 of DeltaNet, Table 3",
            ),
            Model(
                "deltanet(delta_net)",
                True,
                0.002,
                options={"negative_eigenvalues": True},
                published="scaled accuracy 1.000, Table 3",
            ),
        ],
        settings={"hidden": 32, "steps": 5000, **COSINE},
    ),
    Claim(
        "parity-rotations",
        "Mamba-3, whose state rotates, learns parity. Mamba-2 does not.",
        "Lahoti et al. 2026",
        "https://arxiv.org/abs/2603.15569",
        "parity",
        [
            Model(
                "retnet(mamba3)",
                True,
                0.002,
                options={"order": 64},
                published="scaled accuracy 100.00 %, Table 5",
            ),
            Model("mamba(mamba2)", False, 0.004, published="scaled accuracy 0.90 %, Table 5"),
        ],
        settings={"hidden": 32, "steps": 5000, **COSINE},
    ),
    Claim(
        "s3",
        "A recurrent network of one layer composes permutations. Mamba needs more layers for longer "
        "sequences.",
        *_MERRILL,
        "word_problem",
        [
            Model("vanilla", True, 0.003, published=RNN_COMPOSES),
            Model(
                "mamba(mamba)",
                False,
                0.004,
                COSINE,
                published='"require depth monotonically increasing in sequence length", section 6',
            ),
        ],
        settings={"hidden": 64, "steps": 3000},
    ),
    Claim(
        "s3-products",
        "With two products of reflections a step, DeltaProduct composes permutations of three objects in one "
        "layer. With one product it does not.",
        "Siems et al. 2025",
        "https://arxiv.org/abs/2502.10297",
        "word_problem",
        [
            Model(
                "prenorm(gated_delta_product)",
                True,
                0.004,
                options={"corrections": 2},
                published='"expected to train successfully", README of its code',
            ),
            Model(
                "prenorm(gated_delta_product)",
                False,
                0.004,
                options={"corrections": 1},
                published='"not expected to converge", README of its code',
            ),
        ],
        settings={"hidden": 64, "steps": 3000, **COSINE},
    ),
    Claim(
        "a5",
        "A recurrent network of one layer composes even permutations of five objects.",
        *_MERRILL,
        "word_problem",
        [Model("vanilla", True, 0.002, published=RNN_COMPOSES), Model("mi_rnn", None, 0.004)],
        options={"group": "A5"},
        settings={"hidden": 128, "steps": 8000, "batch": 64, **COSINE},
    ),
    Claim(
        "counting",
        "LSTMs learn to count. GRUs do not.",
        *_WEISS,
        "dyck",
        [Model("lstm", True, 0.01, published=ACCEPTED), Model("gru", False, 0.01, published=REJECTED)],
        settings={"hidden": 32, "steps": 3000, **COSINE},
    ),
    Claim(
        "counting-letters",
        "LSTMs trained on a^n b^n count beyond the n of training. GRUs do not.",
        *_WEISS,
        "anbn",
        [Model("lstm", True, 0.01, published=ACCEPTED), Model("gru", False, 0.01, published=REJECTED)],
        options={"longest": 99, "tested": 200},  # training as in the paper
        settings={"hidden": 32, "steps": 3000, **COSINE},
    ),
    Claim(
        "selective-copying",
        "Mamba copies selectively. A recurrence that treats all inputs alike does not.",
        *_GU_DAO,
        "selective_copying",
        [
            Model("mamba(mamba)", True, 0.004, published="accuracy 99.8 %, Table 1"),
            Model("glu(s4d)", False, 0.004, published="accuracy 18.3 % of S4 without a gate, Table 1"),
        ],
        settings={"hidden": 32, "layers": 2, "steps": 4000, **COSINE},
    ),
    Claim(
        "selective-copying-min",
        "Recurrent networks without a state in their gates copy selectively too.",
        "Feng et al. 2024",
        "https://arxiv.org/abs/2410.01201",
        "selective_copying",
        [Model("prenorm(min_gru)", True, 0.003)],
        settings={"hidden": 64, "layers": 3, "steps": 4000, **COSINE},
    ),
    Claim(
        "induction-heads",
        "Mamba solves the induction heads task.",
        *_GU_DAO,
        "induction_heads",
        [Model("mamba(mamba)", True, 0.004, published="perfect up to 2^20 steps, Table 11")],
        settings={"hidden": 32, "layers": 2, "steps": 3000, **COSINE},
    ),
    Claim(
        "recall",
        "DeltaNet recalls values by their keys, 64 pairs in 512 steps.",
        "Yang et al. 2024",
        "https://arxiv.org/abs/2406.06484",
        "associative_recall",
        [
            Model(  # convolutions of queries, keys and values, as in the paper
                "deltanet(delta_net+short_convolution)",
                True,
                0.01,
                {"steps": 1000},
                {"deltanet_convolution": False},
                published=PERFECT,
            ),
            Model("deltanet(delta_net)", True, 0.01, published=PERFECT),
            Model("lstm", None, 0.01),
        ],
        # A query takes a slot of two steps, so every slot has one. With fewer pairs, the random tokens in
        # the other slots overwrite keys: with 4 pairs and 64 tokens, the newest value of a key is right in
        # 92 % of the queries only.
        options={"pairs": 16, "tokens": 256, "length": 64},
        settings={"hidden": 64, "steps": 2500, **COSINE},
    ),
    Claim(
        "adding-linear",
        "Linear recurrences work in deep networks with nonlinear parts between them.",
        "Orvieto et al. 2023",
        "https://arxiv.org/abs/2303.06349",
        "adding",
        [
            Model(
                "glu(lru)",
                True,
                0.004,
                published='"surprisingly expressive when coupled with nonlinear MLP or GLU '
                'blocks", section 3.1',
            ),
            Model(
                "lru",
                False,
                0.004,
                published='new frequencies are "impossible for linear RNNs, even as the width '
                'increases", section E.1.1',
            ),
        ],
        settings={"hidden": 32, "layers": 2, "steps": 3000, **COSINE},
    ),
    Claim(
        "adding-lstm",
        "The LSTM adds two numbers over 100 steps.",
        "Hochreiter & Schmidhuber 1997",
        "https://doi.org/10.1162/neco.1997.9.8.1735",
        "adding",
        [
            Model(
                "lstm",
                True,
                0.005,
                options={"forget_bias": 1.0},
                published="1 of 2,560 sequences with an error above 0.04, Table 7",
            ),
            Model(
                "vanilla",
                False,
                0.005,
                published='"never been solved by other recurrent net algorithms", section 5.4',
            ),
        ],
        options={"length": 100},
        settings={"hidden": 32, "steps": 4000, **COSINE},
    ),
    Claim(
        "copying",
        "The unitary network copies ten symbols over 100 steps.",
        "Arjovsky et al. 2016",
        "https://arxiv.org/abs/1511.06464",
        "copying",
        [
            Model(
                "urnn",
                True,
                0.003,
                published='"able to completely solve each time length", Figure 1 of the draft in its code',
            )
        ],
        options={"delay": 100},
        settings={"hidden": 64, "steps": 3000},
    ),
    Claim(
        "copying-chrono",
        "The LSTM with chrono initialisation copies over 500 steps. With a forget bias of 1, it does not.",
        "Tallec & Ollivier 2018",
        "https://arxiv.org/abs/1804.11188",
        "copying",
        [  # t_max is 3/2 of the delay, as in the paper
            Model(
                CHRONO_LSTM,
                True,
                0.02,
                options={"t_max": 150.0},
                published='"does not plateau at the memoryless optimum", section 3 and Figure 1',
            ),
            Model(
                "lstm",
                False,
                0.02,
                options={"forget_bias": 1.0},
                published='"heavily outperforms standard initialization", Figure 1',
            ),
        ],
        options={"delay": 100},
        settings={"hidden": 64, "steps": 10000, **COSINE},
    ),
)


@dataclass(frozen=True)
class Row:
    """A run, a line of the file.

    Args:
        claim: Name of the claim.
        model: The cell with its block, and options.
        seed: The seed.
        parameters: All parameters.
        steps: Updates.
        lr: The learning rate.
        metric: Metric of the task.
        score: Test score.
        solved: Whether it reaches the threshold of the task.
        seconds: Time of the updates.
        status: ``finished``, ``diverged`` or ``failed``.
        date: Day of the run.
    """

    claim: str
    model: str
    seed: int
    parameters: int
    steps: int
    lr: float
    metric: str
    score: float | None
    solved: bool
    seconds: float
    status: str
    date: str


def label_of(model: Model) -> str:
    """The cell with its block and options."""
    options = (f"{name}={value}" for name, value in model.options.items())
    return ", ".join((model.spec.rpartition(":")[2], *options))


def all_options(model: Model) -> dict[str, Any]:
    """All options of the cell: those of the model, and the defaults of the others."""
    return dict(resolve_cell(model.spec, **model.options).options)


def cell_and_block(model: Model) -> tuple[str, str]:
    """The cell with its options, and its block; a dash for none."""
    label = label_of(model)
    block = split_name(model.spec).block if ":" not in model.spec else ""
    if not block:
        return label, "–"
    cell, _, options = label.removeprefix(f"{block}(").partition(")")
    return cell + options, block


def measure(claim: Claim, model: Model, seeds: int = SEEDS, **changes: Any) -> list[Row]:
    """Train a model with every seed.

    Options that the model does not set have the defaults of zoo. The rows of the file were measured with
    them, and not with the customary values that ``zoo.compare`` would use.
    """
    folder = Path(tempfile.mkdtemp(prefix="zoo-reproduction-"))
    settings = {"schedule": "constant", **claim.settings, **model.settings, **changes}
    try:
        comparison = zoo.compare(
            {"model": model.spec},
            [claim.task],
            options={"model": all_options(model), claim.task: dict(claim.options)},
            seeds=seeds,
            lr=model.lr,
            jobs=0,
            out=folder / "runs",
            **settings,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    today = datetime.date.today().isoformat()
    return [
        Row(
            claim.name,
            label_of(model),
            int(run.seed or 0),
            int(run.parameters or 0),
            int(run.steps or 0),
            model.lr,
            run.metric,
            None if run.score is None else float(f"{run.score:.4g}"),
            run.solved,
            round(run.seconds, 1),
            run.status,
            today,
        )
        for run in comparison.runs
    ]


def is_reproduced(model: Model, rows: Sequence[Row]) -> bool | None:
    """Whether most seeds solve the task, or none does, as the paper says. None if it says nothing."""
    if model.solves is None:
        return None
    solved = sum(row.solved for row in rows)
    return 2 * solved > len(rows) if model.solves else solved == 0


def verdict(model: Model, rows: Sequence[Row]) -> str:
    """Whether the result is reproduced, with the number of seeds if they differ."""
    solved = sum(row.solved for row in rows)
    counts = "" if solved in (0, len(rows)) else f", {solved} of {len(rows)} seeds"
    return {True: f"yes{counts}", False: f"**no**{counts}", None: "–"}[is_reproduced(model, rows)]


def table(rows: Sequence[Row]) -> TextTable:
    """A row for each model that has been trained."""
    texts = []
    for claim in CLAIMS:
        text = f"{claim.claim} [{claim.paper}]({claim.url})"
        for model in claim.models:
            own = [row for row in rows if (row.claim, row.model) == (claim.name, label_of(model))]
            if not own:
                continue
            cell, block = cell_and_block(model)
            layers = claim.settings.get("layers", 1)
            task = ", ".join((claim.task, *(f"{name}={value}" for name, value in claim.options.items())))
            scores = [row.score for row in own if row.score is not None]
            published = {True: "solved", False: "not solved", None: "–"}[model.solves]
            texts.append(
                (
                    text,
                    f"`{cell}`",
                    f"`{block}`" if block != "–" else block,
                    f"`{task}`",
                    f"{layers} × {claim.settings['hidden']}, {own[0].parameters:,} parameters, "
                    f"{own[0].steps:,} updates",
                    f"{published}: {model.published}" if model.published else published,
                    f"{mean(scores):.3g} {metric_text(own[0].metric)}" if scores else "–",
                    f"{sum(row.solved for row in own)}/{len(own)}",
                    verdict(model, own),
                )
            )
            text = ""  # once for a claim
    headings = (
        "published result",
        "cell",
        "block",
        "task",
        "layers × width, budget",
        "published number",
        "our number",
        "solved",
        "reproduced",
    )
    return TextTable("", headings, tuple(texts), right=(6, 7))


def main(arguments: list[str] | None = None) -> int:
    """Train what is missing, then write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--page", type=Path, help="the page whose table is replaced")
    parser.add_argument("--only", help="only these claims, with commas between them")
    parser.add_argument("--no-training", action="store_true", help="write the page from the file")
    chosen = parser.parse_args(arguments)
    only = chosen.only.split(",") if chosen.only else [claim.name for claim in CLAIMS]
    if unknown := sorted(set(only) - {claim.name for claim in CLAIMS}):
        parser.error(
            f"unknown claim {unknown[0]!r}; expected one of {', '.join(claim.name for claim in CLAIMS)}"
        )
    for claim in CLAIMS:
        for model in claim.models:
            done = {(row.claim, row.model) for row in read_rows(chosen.file, Row)}
            if chosen.no_training or claim.name not in only or (claim.name, label_of(model)) in done:
                continue
            rows = measure(claim, model)
            append_rows(chosen.file, rows, Row)
            print(f"{claim.name}: {label_of(model)}", *(row.score for row in rows), flush=True)
    if chosen.page:
        command = f"python tools/reproduce.py {chosen.file.as_posix()} --page {chosen.page.as_posix()}"
        marker = DocumentMarker(chosen.page, "reproductions", "reproduce")
        marker.write(command, ["\n".join(table(read_rows(chosen.file, Row)).markdown())])
    return 0


if __name__ == "__main__":
    sys.exit(main())
