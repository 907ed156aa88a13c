"""The flags of ``zoo train`` that set fields of ``zoo.training.Config``.

A flag that is not given is None, so defaults are defined in ``Config`` alone and a resumed run keeps its
stored settings. The help quotes the defaults.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from zoo.cli.flags import MAX_SEED, Flag
from zoo.training.config import Config

_DEFAULTS = {field.name: field.default for field in dataclasses.fields(Config)}


def _make_flag(
    section: str,
    name: str,
    kind: Any,
    metavar: str | None,
    text: str,
    spelt: str | None = None,
    **attributes: Any,
) -> Flag:
    default = _DEFAULTS[name]
    shown = " ".join(default) if isinstance(default, tuple) else default
    is_shown = isinstance(shown, (int, float, str)) and not isinstance(shown, bool)
    note = f"  [{shown}]" if is_shown else ""
    return Flag(
        spelt or f"--{name.replace('_', '-')}",
        name,
        section=section,
        type=kind,
        metavar=metavar,
        default=None,
        help=text + note,
        **attributes,
    )


def _number_or_word(text: str) -> int | str:
    # Config validates the word.
    return int(text) if text.isdecimal() else text


TEXT, TASK, MODEL, TRAINING, LOGGING = "Text", "Task", "Model", "Training", "Watching and saving"

FLAGS = [
    _make_flag(
        TEXT,
        "data",
        str,
        "SOURCE",
        "A file, a directory, - for standard input, or builtin:hello, builtin:pydoc, builtin:stdlib; may be "
        "repeated.",
        multiple=True,
    ),
    _make_flag(TEXT, "level", click.Choice(["char", "byte"]), None, "What a symbol is."),
    _make_flag(TEXT, "glob", str, "PATTERN", "Which files of a directory are read, as in '*.txt'."),
    _make_flag(
        TEXT,
        "split",
        str,
        "A,B,C",
        "Shares of training, validation and test.  [90,5,5, or all for training if the text is short]",
    ),
    _make_flag(
        TASK,
        "task",
        str,
        "NAME|FILE.py:Class",
        "Learn a task instead of a text (`zoo tasks`); --set task.NAME=VALUE sets its options.",
    ),
    _make_flag(TASK, "eval_batches", int, "N", "Batches of a validation."),
    _make_flag(
        TASK,
        "stop_when_solved",
        bool,
        None,
        "Stop when a validation reaches the threshold of the task.",
        is_flag=True,
        spelt="--until-solved",
    ),
    _make_flag(
        MODEL,
        "cell",
        str,
        "NAME|FILE.py:Class",
        "A registered cell (`zoo cells`), or one in a file of yours; modifiers may follow (`zoo modifiers`), "
        "as in lstm+zoneout.",
    ),
    _make_flag(MODEL, "hidden", int, "N", "Hidden units, H."),
    _make_flag(MODEL, "layers", int, "N", "Layers, L."),
    _make_flag(
        MODEL, "dropout", float, "P", "Chance that a number between two layers is dropped in training."
    ),
    _make_flag(
        MODEL, "residual", bool, None, "Add a layer's input to its output, where sizes agree.", is_flag=True
    ),
    _make_flag(MODEL, "dtype", click.Choice(["float32", "float64"]), None, "Precision of all numbers."),
    _make_flag(
        TRAINING,
        "batch",
        int,
        "N",
        "Streams of a text, or examples of a task, side by side, B.  [32, or fewer if the text is short]",
    ),
    _make_flag(
        TRAINING,
        "seq",
        int,
        "N",
        "Steps of back-propagation through time, T, in a text.  [64, or fewer if it is short]",
    ),
    _make_flag(TRAINING, "steps", int, "N", "Updates.  [5000]"),
    _make_flag(TRAINING, "epochs", float, "X", "Passes over the training text, instead of --steps."),
    _make_flag(TRAINING, "optimizer", str, "NAME", "sgd, adam, ...: `zoo plugins` lists them."),
    _make_flag(TRAINING, "lr", float, "X", "Learning rate.  [the optimizer's own]"),
    _make_flag(
        TRAINING, "schedule", str, "NAME", "How the learning rate changes: constant, step, cosine, plateau."
    ),
    _make_flag(TRAINING, "clip", float, "X", "Largest norm of the gradient; 0 for no limit."),
    _make_flag(
        TRAINING, "clip_value", float, "X", "Largest magnitude of each of its elements; 0 for no limit."
    ),
    _make_flag(TRAINING, "patience", int, "N", "Stop after N validations without improvement; 0 to go on."),
    _make_flag(
        TRAINING,
        "seed",
        int,
        "N",
        "Decides the first parameters, the samples, and the examples of a task.",
        most=MAX_SEED,
    ),
    _make_flag(TRAINING, "threads", int, "N", "Threads; changes no number.  [every processor]"),
    _make_flag(
        TRAINING,
        "recompute",
        _number_or_word,
        "N|sqrt",
        "Keep only the states between segments of N steps, or of about sqrt(T), and compute each segment "
        "again on the way back: little memory for long sequences, a third more time.  [keep everything]",
    ),
    _make_flag(LOGGING, "log_every", int, "N", "Steps between lines of progress."),
    _make_flag(
        LOGGING, "eval_every", int, "N", "Steps between validations.  [a tenth of the run, at most 500]"
    ),
    _make_flag(LOGGING, "save_every", int, "N", "Steps between checkpoints.  [as --eval-every]"),
    _make_flag(LOGGING, "keep", int, "N", "Checkpoints to keep besides the best."),
    _make_flag(LOGGING, "sample_every", int, "N", "Steps between samples; 0 for none."),
    _make_flag(
        LOGGING,
        "analyse_every",
        int,
        "N",
        "Steps between looks at how gates saturate and how far gradients reach back; 0 for none.",
    ),
    _make_flag(LOGGING, "sample_length", int, "N", "Symbols in such a sample."),
]
