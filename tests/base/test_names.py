"""Suggestions for misspelt and shortened names."""

from __future__ import annotations

import click
import pytest

import zoo
from zoo.base.names import did_you_mean, near_names
from zoo.cli.commands.compare import command as compare
from zoo.cli.commands.eval import command as evaluate
from zoo.cli.commands.sample import command as sample
from zoo.cli.commands.train import command as train
from zoo.cli.component_lookup import find_component

NAMES = [*zoo.list_cells(), *zoo.list_tasks(), *zoo.list_optimizers()]


def swapped(name):
    """The name with two neighbouring letters exchanged, at each place."""
    for at in range(len(name) - 1):
        if name[at] != name[at + 1]:
            yield name[:at] + name[at + 1] + name[at] + name[at + 2 :]


def repeated(name):
    """Misspelt names: one letter is repeated, at all even positions in turn."""
    for at in range(0, len(name), 2):
        yield name[:at] + name[at] + name[at:]


@pytest.mark.parametrize("misspell", [swapped, repeated])
def test_swapped_and_repeated_letters_suggest_the_name_first(misspell):
    for name in NAMES:
        for misspelt in misspell(name) if len(name) > 2 else ():
            first = near_names(misspelt, NAMES)[0]
            if misspelt not in NAMES and first not in swapped(misspelt):  # lsstm: slstm
                assert first == name, misspelt


def test_all_commands_suggest_the_same_cells():
    for misspelt, meant in (("lstmm", "lstm"), ("LSTMM", "lstm"), ("peephole-lsm", "peephole_lstm")):
        for find in (zoo.get_cell, find_component):
            with pytest.raises(zoo.errors.UnknownNameError, match=f"Did you mean '{meant}'"):
                find(misspelt)


@pytest.mark.parametrize("command", [train, compare, sample, evaluate], ids=lambda command: command.name)
def test_the_beginning_of_a_flag_suggests_a_flag_that_begins_so(command):
    flags = [flag for param in command.params if isinstance(param, click.Option) for flag in param.opts]
    flags = ["--help", *(flag for flag in flags if flag.startswith("--"))]
    for flag in flags:
        for end in range(len("--abc"), len(flag)):
            short = flag[:end]
            if short not in flags:
                first = near_names(short, flags)[0]
                assert first.startswith(short) or sorted(first) == sorted(short), short  # --ste: --set


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("--temp", ["--help", "--temperature"], "--temperature"),
        ("--level", ["--help", "--data"], None),
        ("--HIDDEN", ["--hidden"], "--hidden"),
        ("hiden", ["--hidden"], "--hidden"),
        ("--hid", ["--hidden-size", "--hidden"], "--hidden"),
        ("learning_rate", ["--lr", "--learning"], "--lr"),
        ("te", ["temperature"], None),
        ("tmep", ["time", "temp"], "temp"),
        ("qqq", ["gru", "lstm"], None),
        ("x", [], None),
    ],
)
def test_did_you_mean(name, known, meant):
    assert did_you_mean(name, known) == (f" Did you mean {meant!r}?" if meant else "")
