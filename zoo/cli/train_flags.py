"""The flags of ``zoo train`` that set fields of ``zoo.training.Config``.

A flag that is not given is None, so defaults are defined in ``Config`` alone and a resumed run keeps its
stored settings. The help quotes the defaults.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import click

from zoo.cli.flags import MAX_SEED, Flag
from zoo.training.config import Config

_FIELDS = {field.name: field for field in dataclasses.fields(Config)}


def _number_or_word(text: str) -> int | str:
    # Config validates the word.
    return int(text) if text.isdecimal() else text


DATA, TEXT, TABLE, SEQUENCES, TASK = "Data", "Text", "Table", "Labelled sequences", "Task"
MODEL, TRAINING, LOGGING = "Model", "Training", "Logging and checkpoints"

_SECTIONS = {
    DATA: "data kind split",
    TEXT: "level tokenizer min_count max_vocab vocab_size token_dtype glob",
    TABLE: "target target_weights input known_future time series horizon context season missing predict loss",
    SEQUENCES: "label pooling metric class_weights split_seed group weight",
    TASK: "task eval_batches stop_when_solved",
    MODEL: "cell hidden layers embedding tie bidirectional learned_state dropout residual dtype precision",
    TRAINING: "auto batch seq carry gradient scheduled_sampling sampling_steps steps epochs optimizer lr "
    "base_hidden schedule clip clip_value param_groups constraints penalties patience init_from seed threads "
    "recompute",
    LOGGING: "log_every eval_every save_every keep sample_every analyse_every sample_length",
}
"""Sections of the help, and the settings in each."""

_TYPES: dict[str, Any] = {
    "recompute": _number_or_word,
    **dict.fromkeys(["epochs", "lr", "clip", "clip_value", "dropout", "scheduled_sampling"], float),
}
_SPELLINGS = {
    "carry": "--carry/--reset",
    "param_groups": "--param-group",
    "constraints": "--constraint",
    "penalties": "--penalty",
}
_SWITCHES = ("auto", "bidirectional", "learned_state", "residual", "tie", "carry", "stop_when_solved")
_ATTRIBUTES: dict[str, dict[str, Any]] = {
    **{name: {"multiple": True} for name in ("data", "param_groups", "constraints", "penalties")},
    **{name: {"most": MAX_SEED} for name in ("seed", "split_seed")},
    **{name: {"is_flag": True} for name in _SWITCHES},
}


def _make_flag(section: str, name: str) -> Flag:
    field = _FIELDS[name]
    shown = " ".join(field.default) if isinstance(field.default, tuple) else field.default
    is_shown = isinstance(shown, (int, float, str)) and not isinstance(shown, bool) and shown != ""
    check = field.metadata["check"]
    default_type = {int: int, bool: bool}.get(type(field.default), str)
    flag_type = int if field.metadata["metavar"] == "N" else default_type
    kind = click.Choice(check.choices) if check.choices else _TYPES.get(name, flag_type)
    return Flag(
        _SPELLINGS.get(name, f"--{name.replace('_', '-')}"),
        name,
        section=section,
        type=kind,
        expected=check.expected if kind in (int, float) else "",
        metavar=field.metadata["metavar"],
        default=None,
        help=field.metadata["help"] + (f"  [{shown}]" if is_shown else ""),
        **_ATTRIBUTES.get(name, {}),
    )


_BLOCK = Flag(
    "--block",
    "block",
    section=MODEL,
    metavar="NAME|FILE.py:Class",
    default=None,
    help="The block around the cell of every layer, as in prenorm (`zoo blocks` lists them).  [none]",
)


def _flags() -> Iterator[Flag]:
    for section, names in _SECTIONS.items():
        for name in names.split():
            yield _make_flag(section, name)
            if name == "cell":
                yield _BLOCK  # in the configuration it is part of the cell, prenorm(lstm)


FLAGS = [*_flags()]
