"""The configuration of a training run: plain data, written to ``config.json``, compared on resuming."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo.arguments import short_repr
from zoo.base.data_kinds import DATA_KINDS
from zoo.classification.metrics import CLASS_METRICS, NUMBER_METRICS
from zoo.data.labelled_sequences import POOLING
from zoo.data.panel import MISSING
from zoo.data.token_files import TOKEN_DTYPES
from zoo.errors import UsageError
from zoo.layers.time_chunks import EXPECTED_RECOMPUTE, is_recompute
from zoo.training.defaults import DEFAULT_SEQ, MAX_EVAL_INTERVAL, STEPWISE_SEQ, describe_default
from zoo.training.setting_checks import (
    ASSIGNMENTS,
    BOOL,
    CELL_OPTIONS,
    CELLS,
    CLASS_WEIGHTS,
    COLUMNS,
    DTYPE,
    FRACTION,
    NONNEGATIVE_INT,
    NONNEGATIVE_NUMBER,
    OPTIONS,
    POSITIVE_INT,
    POSITIVE_NUMBER,
    PRECISION,
    SAMPLE_LENGTH,
    SEED,
    SOURCES,
    STRING,
    WEIGHTS,
    Check,
    at_least,
    one_of,
)

DEFAULT_FORECAST_LOSS = "interval"
"""Default loss of a forecast."""

DEFAULT_CLASS_LOSS = "cross_entropy"
"""Default loss of labels that are classes."""


AUTO_SCHEDULE = "cosine"
"""Schedule that the setting ``auto`` chooses."""


LEVEL_SETTINGS = {
    "char": (),
    "byte": (),
    "word": ("min_count", "max_vocab"),
    "token": ("vocab_size", "token_dtype"),
}
"""Levels of a text without a tokenizer, and the settings that apply to one level only."""

TEST_BATCHES = 64
"""Default number of test batches of a task."""

KINDS = tuple(kind for kind in DATA_KINDS if kind != "task")
"""Kinds of data that the setting ``kind`` names."""

GRADIENTS = ("bptt", "rtrl", "uoro")
"""Values of the setting ``gradient``: truncated BPTT, and the names of :data:`zoo.online.GRADIENTS`."""

PREDICT = ("change", "level", "correction")
"""Values of the setting ``predict``."""


def _setting(
    default: Any,
    check: Check,
    help: str,
    *,
    metavar: str | None = None,
    resumable: bool = False,
    only: str = "",
    comparable: bool = False,
) -> Any:
    """A field of the configuration.

    Args:
        default: The default; ``dict`` for an empty mapping.
        check: The check of a value.
        help: Description, for Python and the command line; defaults that depend on others in brackets.
        metavar: Placeholder of the value in the help of its flag, if there is one.
        resumable: Whether a resumed run may change it without changing its results.
        only: The kinds of data that have a use for it, ``"text table"``; empty for all.
        comparable: Whether ``zoo compare`` takes it for all runs.
    """
    metadata = {
        "check": check,
        "help": help,
        "metavar": metavar,
        "resumable": resumable,
        "only": only,
        "comparable": comparable,
    }
    if default is dict:
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Config:
    """Settings of a training run.

    Raises:
        UsageError: if a value is invalid.
    """

    task: str | None = _setting(
        None,
        STRING,
        "Train on a task instead of a text (`zoo tasks` lists the tasks); --set task.NAME=VALUE sets its "
        "options.",
        metavar="NAME|FILE.py:Class",
    )
    task_options: Mapping[str, Any] = _setting(dict, OPTIONS, "Its options.", only="task")
    data: tuple[str, ...] = _setting(
        ("builtin:pydoc",),
        SOURCES,
        "A file, a directory, - for standard input, or builtin:hello, builtin:pydoc, "
        "builtin:stdlib; may be repeated. Files .gz, .bz2 and .xz are decompressed.",
        metavar="SOURCE",
        resumable=True,
        only="text table sequences",
    )
    kind: str | None = _setting(
        None,
        one_of(*KINDS),
        "Read the data as text, as a table, or as labelled sequences.  [sequences with --label and for a .ts "
        "file; a table with --target, and if the name ends in .csv, .tsv, .npz or .parquet, or for "
        "a directory of such files]",
        only="text table sequences",
    )
    level: str = _setting(
        "char",
        one_of(*LEVEL_SETTINGS),
        "Tokens are characters, bytes, words, or the numbers in .npy and .bin files.",
        only="text",
    )
    tokenizer: str | None = _setting(
        None,
        STRING,
        "Split the text with this tokenizer.json, as `zoo tokenize` makes one, instead of by --level.",
        metavar="FILE",
        resumable=True,
        only="text",
    )
    min_count: int = _setting(
        1,
        POSITIVE_INT,
        "Of words: those that occur fewer than N times become <unk>.",
        metavar="N",
        only="text",
    )
    max_vocab: int | None = _setting(
        None,
        at_least(2),
        "Of words: the largest size of the vocabulary, with <unk>. Rarer words become <unk>.  [no limit]",
        metavar="N",
        only="text",
    )
    vocab_size: int | None = _setting(
        None,
        at_least(2),
        "Of token numbers: the size of the vocabulary.  [the largest number in the files, plus one]",
        metavar="N",
        only="text",
    )
    token_dtype: str | None = _setting(
        None,
        one_of(*TOKEN_DTYPES),
        "Of token numbers: the type of the numbers in a .bin file.  [uint16]",
        only="text",
    )
    glob: str = _setting(
        "*",
        STRING,
        "Files to read from a directory, for example '*.txt'.",
        metavar="PATTERN",
        resumable=True,
        only="text",
    )
    split: str | None = _setting(
        None,
        STRING,
        f"Shares of the training, validation and test parts; a missing share is zero.  "
        f"[{describe_default('split')}, of each class; 100 for a short text]",
        metavar="A[,B[,C]]",
        only="text table sequences",
    )
    target: tuple[str, ...] = _setting(
        (), COLUMNS, "The column to forecast, or several with commas.", metavar="COLUMN", only="table"
    )
    target_weights: Mapping[str, float] = _setting(
        dict,
        WEIGHTS,
        "Weights of several targets in the loss, as in load=2,price=1.  [1 for each]",
        metavar="COLUMN=X",
        only="table",
    )
    input: tuple[str, ...] | None = _setting(
        None,
        COLUMNS,
        "Columns that the model reads, in addition to the target, with commas.  [all columns that can be "
        "used]",
        metavar="COLUMN",
        only="table sequences",
    )
    known_future: tuple[str, ...] = _setting(
        (),
        COLUMNS,
        "Columns whose future values are known, such as holidays, with commas.",
        metavar="COLUMN",
        only="table",
    )
    time: str | None = _setting(
        None,
        STRING,
        "The column of times.  [the only column with dates or times, if there is one]",
        metavar="COLUMN",
        only="table sequences",
    )
    series: str | None = _setting(
        None,
        STRING,
        "The column that names the series of a row, if the table holds several: the id of a labelled "
        "sequence.  [the files of a directory; else one series]",
        metavar="COLUMN",
        only="table sequences",
    )
    label: str | None = _setting(
        None,
        STRING,
        "The column with the label of each sequence, or with --pooling none of each step: a class or a "
        "number; or the array of a .npz file.",
        metavar="COLUMN",
        only="sequences",
    )
    pooling: str | None = _setting(
        None,
        one_of(*POOLING),
        "Predict the label of a sequence after the last step (last), or by the mean over all steps (mean); "
        "or the label of each step (none).  [last; mean if bidirectional]",
        only="sequences",
    )
    metric: str | None = _setting(
        None,
        one_of(*CLASS_METRICS, *NUMBER_METRICS),
        "The score of labels for the comparison with simple methods, for the choice of the best model on the "
        "validation part, and for `zoo compare`.  [accuracy, balanced_accuracy with --class-weights "
        "balanced, mae for numbers; the best model has the lowest loss]",
        only="sequences",
    )
    split_seed: int | None = _setting(
        None,
        SEED,
        "Seed that divides sequences, or groups of series, into parts, so that runs with other seeds have "
        "the same parts.  [as --seed; 0 for groups of series]",
        metavar="N",
        only="table sequences",
    )
    class_weights: str | Mapping[str, float] | None = _setting(
        None,
        CLASS_WEIGHTS,
        "balanced: weight each class by the inverse of its frequency in the loss, and compare balanced "
        "accuracies. Or the weights of classes, as in run=3,walk=1; other classes have 1.  [equal weights]",
        metavar="balanced|CLASS=X",
        only="sequences",
    )
    group: str | None = _setting(
        None,
        STRING,
        "The column that groups labelled sequences or series, such as a person: a group lies in one part, "
        "and the shares of --split are shares of the groups.  [no groups]",
        metavar="COLUMN",
        only="table sequences",
    )
    weight: str | None = _setting(
        None,
        STRING,
        "The column with the weight in the loss of each row of a table, as a value to forecast, or of each "
        "sequence, or with --pooling none of each step.  [equal weights]",
        metavar="COLUMN",
        only="table sequences",
    )
    horizon: int = _setting(1, POSITIVE_INT, "Steps to forecast.", metavar="N", only="table")
    context: int | None = _setting(
        None,
        POSITIVE_INT,
        "Past steps that the model reads before a forecast.  [three horizons or two seasons, at least 24; "
        "less for a short table]",
        metavar="N",
        only="table",
    )
    season: int | None = _setting(
        None,
        POSITIVE_INT,
        "Steps of a season, for the seasonal naive forecast; 1 for none.  [from the times, or measured]",
        metavar="N",
        only="table",
    )
    missing: str = _setting(
        "reject",
        one_of(*MISSING),
        "Missing values are an error (reject), replaced by the value before (forward), or marked by an "
        "additional input and left out of the loss (mask).",
        only="table sequences",
    )
    predict: str = _setting(
        "change",
        one_of(*PREDICT),
        "The model predicts the change from the last value, the level, or the error of a linear forecast, "
        "which its output corrects (correction).",
        only="table",
    )
    loss: str | None = _setting(
        None,
        STRING,
        "Loss of a forecast: interval (three quantiles), squared_error, absolute_error, huber:DELTA, "
        "quantile:Q; or one of the last four for each target, as in load=huber:0.5,price=quantile:0.9. "
        "Loss of a label: cross_entropy for classes, or a loss of numbers. FILE.py:NAME is a zoo.Loss in a "
        "Python file.  [interval; for labels cross_entropy if they are text values or few whole numbers, "
        "else squared_error]",
        metavar="NAME|FILE.py:NAME",
        only="table sequences",
    )
    loss_options: Mapping[str, Any] = _setting(dict, OPTIONS, "Its options.", only="table sequences")
    cell: str | tuple[str, ...] = _setting(
        "vanilla",
        CELLS,
        "A registered cell (`zoo cells` lists them) or a class in a Python file, with modifiers, as in "
        "lstm+zoneout or lstm+FILE.py:Class. Several cells make one layer each, as in lstm,gru, and a number "
        "repeats layers, as in '2*(lstm,gru)'.",
        metavar="NAME|FILE.py:Class",
    )
    cell_options: Mapping[str, Any] | tuple[Mapping[str, Any], ...] = _setting(
        dict, CELL_OPTIONS, "Its options, or the options of each layer."
    )
    hidden: int = _setting(128, POSITIVE_INT, "Hidden units, H.", metavar="N")
    layers: int = _setting(1, POSITIVE_INT, "Layers, L.", metavar="N", comparable=True)
    embedding: int | None = _setting(
        None,
        POSITIVE_INT,
        "Size of a trained vector for each token, or for each value of a text column, which the first "
        "layer reads.  [one-hot codes]",
        metavar="N",
        comparable=True,
    )
    tie: bool = _setting(
        False,
        BOOL,
        "Use the embedding as the readout too; its size is then the output size of the last layer.",
        only="text",
    )
    bidirectional: bool = _setting(
        False, BOOL, "Make every layer bidirectional; for tasks and labelled sequences.", comparable=True
    )
    learned_state: bool = _setting(False, BOOL, "Learn the initial states of the layers.", comparable=True)
    dropout: float = _setting(0.0, FRACTION, "Dropout probability between layers, in training.", metavar="P")
    residual: bool = _setting(
        False, BOOL, "Add the input of a layer to its output, if their sizes are equal.", comparable=True
    )
    dtype: str = _setting("float32", DTYPE, "Floating-point precision.", comparable=True)
    precision: str | None = _setting(
        None,
        PRECISION,
        "Precision of matrix products. bf16 rounds their operands to bfloat16, which halves their time on an "
        "AMD processor with AVX512-BF16. On Intel processors it needs AMX, and its speed was not measured. "
        "Parameters, states and sums remain float32.  [float32]",
        comparable=True,
    )
    batch: int | None = _setting(
        None,
        POSITIVE_INT,
        f"Batch size B: streams of a text, windows of a table, sequences, or examples of a task.  "
        f"[{describe_default('batch')}; fewer for short data]",
        metavar="N",
        comparable=True,
    )
    seq: int | None = _setting(
        None,
        POSITIVE_INT,
        f"Time steps T of truncated BPTT, in a text or in sequences with --pooling none.  [{DEFAULT_SEQ}; "
        f"{STEPWISE_SEQ} for sequences; fewer for short data]",
        metavar="N",
        only="text sequences",
    )
    carry: bool = _setting(
        True,
        BOOL,
        "Carry the states of a text from one window of --seq steps to the next, in training and evaluation, "
        "or reset them. A cell whose states grow without bound can diverge if they are carried.  [--carry]",
        only="text",
    )
    gradient: str = _setting(
        "bptt",
        one_of(*GRADIENTS),
        "Gradient across the windows of a text, or the batches of a task that continue: none (bptt, "
        "truncated BPTT), exact (rtrl, real-time recurrent learning), or an unbiased estimate (uoro). rtrl "
        "stores states x parameters numbers of each sequence, and takes a backward pass for each state.",
        only="text task",
        comparable=True,
    )
    scheduled_sampling: float = _setting(
        0.0,
        FRACTION,
        "Probability with which an input token is replaced by a sample of the model, in training. It grows "
        "linearly from 0.",
        metavar="P",
        only="text",
    )
    sampling_steps: int | None = _setting(
        None,
        POSITIVE_INT,
        "Updates until --scheduled-sampling reaches its probability.  [all updates]",
        metavar="N",
        only="text",
    )
    steps: int | None = _setting(
        None,
        POSITIVE_INT,
        f"Updates of the parameters.  [{describe_default('steps')}]",
        metavar="N",
        resumable=True,
    )
    epochs: float | None = _setting(
        None,
        POSITIVE_NUMBER,
        "Passes over the training text or sequences, instead of --steps.",
        metavar="X",
        resumable=True,
        only="text sequences",
    )
    optimizer: str = _setting(
        "adam",
        STRING,
        "The optimizer (`zoo optimizers` lists them).",
        metavar="NAME|FILE.py:Class",
        comparable=True,
    )
    optimizer_options: Mapping[str, Any] = _setting(dict, OPTIONS, "Its options.", comparable=True)
    lr: float | None = _setting(None, POSITIVE_NUMBER, "Learning rate.  [the optimizer's own]", metavar="X")
    base_hidden: int | None = _setting(
        None,
        POSITIVE_INT,
        "Hidden units for which --lr was chosen. Matrices with inputs from hidden units learn at a rate of "
        "--lr * N / H (muP), so that the best --lr is about the same for every --hidden.  [H]",
        metavar="N",
        comparable=True,
    )
    schedule: str = _setting(
        "constant",
        STRING,
        "Learning rate schedule: constant, step, cosine, plateau.",
        metavar="NAME",
        comparable=True,
    )
    schedule_options: Mapping[str, Any] = _setting(dict, OPTIONS, "Its settings.", comparable=True)
    clip: float = _setting(
        1.0,
        NONNEGATIVE_NUMBER,
        "Clip the gradient to this norm; 0 for no limit.",
        metavar="X",
        comparable=True,
    )
    clip_value: float = _setting(
        0.0,
        NONNEGATIVE_NUMBER,
        "Clip each element of the gradient to this magnitude; 0 for no limit.",
        metavar="X",
        comparable=True,
    )
    param_groups: tuple[str, ...] = _setting(
        (),
        ASSIGNMENTS,
        "Other settings for the parameters that match a pattern: a factor of the learning rate and options "
        "of the optimizer, as in 'Why:lr_factor=0.1,weight_decay=0', or 'embedding:frozen'; may be repeated.",
        metavar="PATTERN:SETTINGS",
        comparable=True,
    )
    constraints: tuple[str, ...] = _setting(
        (),
        ASSIGNMENTS,
        "Constrain parameters after every update (`zoo constraints` lists them), as in Whh=dale; may be "
        "repeated.",
        metavar="PATTERN=NAME",
        comparable=True,
    )
    penalties: tuple[str, ...] = _setting(
        (),
        ASSIGNMENTS,
        "Add a penalty of the activity or of parameters to the loss (`zoo penalties` lists them), as in "
        "activity=l2:1e-3 or Whh=l1:1e-5; may be repeated.",
        metavar="PATTERN=NAME:FACTOR",
        comparable=True,
    )
    auto: bool = _setting(
        False,
        BOOL,
        "Choose --batch, --lr and --schedule (cosine), unless given. Trials choose the learning rate and "
        "take some hundred updates.",
    )
    init_from: str | None = _setting(
        None,
        STRING,
        "Start from the parameters of the best model of this run or .safetensors file, which has the same "
        "cell, sizes and vocabulary. The optimizer and the schedule start anew. Add --config RUN to take the "
        "settings of that run, too.",
        metavar="RUN",
    )
    seed: int = _setting(
        0, SEED, "Random seed of initial parameters, samples and examples of a task.", metavar="N"
    )
    threads: int | None = _setting(
        None,
        POSITIVE_INT,
        "Threads; the results do not depend on it.  [every processor]",
        metavar="N",
        resumable=True,
    )
    recompute: int | str | None = _setting(
        None,
        Check(is_recompute, EXPECTED_RECOMPUTE),
        "Gradient checkpointing: store only the states between segments of N steps, or of about sqrt(T), and "
        "recompute each segment in the backward pass. Saves memory for long sequences and takes a third "
        "more time.  [store everything]",
        metavar="N|sqrt",
        comparable=True,
    )
    log_every: int = _setting(50, POSITIVE_INT, "Steps between progress lines.", metavar="N", resumable=True)
    eval_every: int | None = _setting(
        None,
        POSITIVE_INT,
        f"Steps between validations.  [at most {MAX_EVAL_INTERVAL}; a run has at least "
        f"{describe_default('validations', 'validations')}]",
        metavar="N",
    )
    eval_batches: int = _setting(
        16, POSITIVE_INT, "Batches in one validation.", metavar="N", only="task", comparable=True
    )
    save_every: int | None = _setting(
        None, POSITIVE_INT, "Steps between checkpoints.  [as --eval-every]", metavar="N", resumable=True
    )
    keep: int = _setting(
        3, POSITIVE_INT, "Checkpoints to keep in addition to the best.", metavar="N", resumable=True
    )
    sample_every: int = _setting(
        0, NONNEGATIVE_INT, "Steps between samples; 0 for none.", metavar="N", resumable=True, only="text"
    )
    sample_length: int = _setting(200, SAMPLE_LENGTH, "Tokens of each sample.", metavar="N", resumable=True)
    patience: int = _setting(
        0, NONNEGATIVE_INT, "Stop after N validations without improvement; 0 for never.", metavar="N"
    )
    stop_when_solved: bool = _setting(
        False,
        BOOL,
        "Stop when a validation reaches the threshold of the task.",
        resumable=True,
        only="task",
        comparable=True,
    )
    analyse_every: int = _setting(
        0,
        NONNEGATIVE_INT,
        "Steps between records of gate saturation and of gradient norm by lag; 0 for none.",
        metavar="N",
        resumable=True,
    )

    def __post_init__(self) -> None:
        """Check every field."""
        for entry in dataclasses.fields(self):
            value, check = getattr(self, entry.name), entry.metadata["check"]
            if not check.allows(value) and not (value is None and entry.default is None):
                raise UsageError(f"{entry.name} is {short_repr(value)}; expected {check.expected}.")
            if type(value) is int and value >= 2**53 and entry.name != "seed":
                raise UsageError(f"{entry.name} is {short_repr(value)}; expected an integer below 2^53.")
        if self.steps is not None and self.epochs is not None:
            raise UsageError("`steps` and `epochs` are both given; give one of them.")
        if self.dropout and self.layers == 1:
            raise UsageError(
                f"dropout is {self.dropout!r} and there is one layer, but dropout applies between layers; "
                f"give more `layers`, or a cell with dropout, such as lstm+recurrent_dropout."
            )
        if self.gradient != "bptt" and not self.carry:
            raise UsageError(
                f"gradient is {self.gradient!r} and `carry=False` is given, but without carried states there "
                f"is no gradient across windows; leave out one of them."
            )
        self._check_cells()
        self._check_data_or_task()
        self._check_level()

    @property
    def cell_names(self) -> tuple[str, ...]:
        """The cell of all layers, or of each."""
        return (self.cell,) if isinstance(self.cell, str) else self.cell

    @property
    def cell_label(self) -> str:
        """The cells as one text, ``"lstm,gru"``."""
        return ",".join(self.cell_names)

    def _check_cells(self) -> None:
        """Check that cells and their options are as many as layers, where there is one for each."""
        given = [("cell", "cells", self.cell), ("cell_options", "mappings of options", self.cell_options)]
        for name, noun, value in given:
            if isinstance(value, tuple) and len(value) != self.layers:
                raise UsageError(
                    f"{name} has {len(value)} {noun} and `layers` is {self.layers}; expected one for each "
                    f"layer."
                )
        if isinstance(self.cell_options, tuple) and isinstance(self.cell, str):
            raise UsageError("cell_options is a tuple and cell is one for all layers; expected a mapping.")

    @property
    def data_kind(self) -> str:
        """``"text"``, ``"table"``, ``"sequences"`` or ``"task"``."""
        if self.task is not None:
            return "task"
        return self.kind or ("table" if self.target else "text")

    def _check_data_or_task(self) -> None:
        """Check that there are data or a task, and no setting of another kind."""
        if self.task is None and not self.data:
            raise UsageError("data is empty; give a text, a table or a task.")
        kind = self.data_kind
        for name, kinds in _ONLY.items():
            if kind in kinds or getattr(self, name) in (_DEFAULTS[name], ()):
                continue
            setting = f"`{name}=False`" if _DEFAULTS[name] is True else name
            names = ["labelled sequences" if each == "sequences" else f"{each}s" for each in kinds]
            plurals = " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
            if self.task is None:
                given = "labelled sequences" if kind == "sequences" else f"a {kind}"
                as_text = " To train on the characters of the table, give `kind='text'`."
                hint = as_text if kind == "table" and "text" in kinds and not self.target else ""
                raise UsageError(f"{setting} is given with {given}; it applies to {plurals} only.{hint}")
            raise UsageError(
                f"{setting} is given with the task {self.task!r}; it applies to {plurals} only. "
                f"`zoo show task:{self.task}` lists the options of the task."
            )

    def _check_level(self) -> None:
        """Check that no setting belongs to another level of a text."""
        if self.tokenizer is not None and self.level != "char":
            raise UsageError(f"level is {self.level!r} and a `tokenizer` is given; leave out one of them.")
        for level, names in LEVEL_SETTINGS.items():
            for name in names:
                if level != self.level and getattr(self, name) != _DEFAULTS[name]:
                    raise UsageError(
                        f"{name} is given and `level` is {self.text_level!r}; it applies to level {level!r}."
                    )

    @property
    def text_level(self) -> str:
        """The level of the text: ``"tokenizer"`` with a tokenizer, else ``level``."""
        return self.level if self.tokenizer is None else "tokenizer"

    def text_options(self) -> dict[str, Any]:
        """Arguments of ``read_text`` that determine the tokens."""
        names = ("tokenizer", "min_count", "max_vocab", "vocab_size", "token_dtype")
        return {"level": self.text_level, **{name: getattr(self, name) for name in names}}

    def model_arguments(self) -> dict[str, Any]:
        """Arguments of a model by name."""
        return {
            "hidden_size": self.hidden,
            "num_layers": self.layers,
            "bidirectional": self.bidirectional,
            "learned_state": self.learned_state,
            "dropout": self.dropout,
            "residual": self.residual,
            "dtype": self.dtype,
            "precision": self.precision,
            "seed": self.seed,
            "threads": self.threads,
            "recompute": self.recompute,
        }

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        values = {entry.name: getattr(self, entry.name) for entry in dataclasses.fields(self)}
        return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def number_format(settings: Mapping[str, Any]) -> str:
    """The dtype of the arrays of a run and the precision of its products, ``float32 with bf16 products``."""
    return str(settings["dtype"]) + " with bf16 products" * (settings.get("precision") == "bf16")


def setting_names(**metadata: Any) -> tuple[str, ...]:
    """Names of the fields with this metadata, ``setting_names(only="text")``, in order."""
    fields = dataclasses.fields(Config)
    return tuple(entry.name for entry in fields if metadata.items() <= entry.metadata.items())


# A text is identified by its digest, so that a resumed run may name it differently.
RESUMABLE_CHANGES = frozenset(setting_names(resumable=True))

_ONLY = {
    entry.name: tuple(entry.metadata["only"].split())
    for entry in dataclasses.fields(Config)
    if entry.metadata["only"]
}
"""The kinds of data that have a use for a setting, if not all have one."""

Config.__doc__ = f"{Config.__doc__}\n    Args:\n" + "\n".join(
    f"        {entry.name}: {entry.metadata['help']}".replace(
        "'*.", "'\\*."
    )  # an asterisk begins emphasis on the site
    for entry in dataclasses.fields(Config)
)

_DEFAULTS = {
    entry.name: entry.default if entry.default is not dataclasses.MISSING else {}
    for entry in dataclasses.fields(Config)
}

REGULARISATION_SETTINGS = ("constraints", "penalties", "param_groups")
"""Lists of texts, which `zoo.training.regularisation` reads."""
