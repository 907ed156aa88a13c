"""Defaults that depend on the kind of data, and the lists of values that the command line shares."""

from __future__ import annotations

import dataclasses

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.base.data_kinds import DATA_KINDS
from zoo.cli.commands.eval import _EVALUATIONS
from zoo.cli.format import _KINDS
from zoo.cli.train_flags import FLAGS
from zoo.errors import UsageError
from zoo.model.checkpoint import _COMMANDS
from zoo.training.config import Config
from zoo.training.config_conversion import make_config
from zoo.training.defaults import KIND_DEFAULTS, describe_default, run_steps, with_intervals

KINDS = st.sampled_from(DATA_KINDS)
SETTINGS = {field.name: field.metadata["check"] for field in dataclasses.fields(Config)}
CHOICES = {name: check.choices for name, check in SETTINGS.items() if check.choices}


@given(KINDS, st.integers(1, 10**6), st.none() | st.integers(1, 700), st.none() | st.integers(1, 700))
def test_intervals_divide_a_run(kind, steps, eval_every, save_every):
    config = Config(eval_every=eval_every, save_every=save_every)
    resolved = with_intervals(config, kind, steps)
    assert resolved.eval_every == (eval_every or max(1, min(500, steps // KIND_DEFAULTS[kind].validations)))
    assert resolved.save_every == (save_every or resolved.eval_every)
    assert resolved.steps == steps
    assert with_intervals(resolved, kind, steps) == resolved  # as a resumed run does


@given(KINDS, st.integers(1, 10**6), st.floats(0.01, 1e3), st.integers(1, 10**4))
def test_steps_are_given_or_counted_in_epochs(kind, steps, epochs, steps_per_epoch):
    assert run_steps(Config(steps=steps), kind, steps_per_epoch) == steps
    counted = run_steps(Config(epochs=epochs), kind, steps_per_epoch)
    assert counted == max(1, round(epochs * steps_per_epoch))
    assert with_intervals(Config(epochs=epochs), kind, counted).epochs is None
    assert run_steps(Config(), kind, steps_per_epoch) == KIND_DEFAULTS[kind].steps


def test_help_text_names_each_other_default():
    assert describe_default("batch") == "32; 64 for a table"
    assert describe_default("steps") == "5000; 2000 for a table; 1000 for labelled sequences"
    assert describe_default("validations", "parts") == "10 parts; 20 for a table and labelled sequences"
    assert describe_default("split") == "90,5,5; 80,10,10 for a table; 70,15,15 for labelled sequences"


@pytest.mark.parametrize("table", [KIND_DEFAULTS, _COMMANDS, _EVALUATIONS, _KINDS])
def test_every_kind_of_data_has_an_entry(table):
    assert set(table) == set(DATA_KINDS)


def test_settings_with_a_list_of_values():
    assert {*CHOICES} == {
        *("kind", "level", "token_dtype", "pooling", "metric", "gradient"),
        *("missing", "predict", "dtype", "precision"),
    }


@pytest.mark.parametrize("name", CHOICES)
def test_flag_has_the_values_of_the_setting(name):
    (flag,) = [each for each in FLAGS if each.name == name]
    assert isinstance(flag.type, click.Choice)
    assert tuple(flag.type.choices) == CHOICES[name]
    check = SETTINGS[name]
    assert all(map(check.allows, CHOICES[name]))
    if name in ("dtype", "precision"):
        return  # the model checks them
    assert not any(map(check.allows, (CHOICES[name][0].upper(), "", 1, None, CHOICES[name])))
    with pytest.raises(UsageError, match=f"^{name} is 'other'; expected .*{CHOICES[name][-1]}"):
        make_config({name: "other"})
