"""``zoo cells`` and ``zoo cite``: lists of cells, in any order, and references."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import zoo
from zoo.cell_pages.cell_info import sort_cells
from zoo.cli.app import cli
from zoo.installation import citation

CARD = 'zoo.Card(title="A cell for tests", authors="Nobody At All", year=1999, url="https://example.org")'
ODD = f'''
import zoo


class Odd(zoo.Cell):
    """A cell that does not come in every size, and of which there is a great deal to say at once."""

    card = {CARD}
    family = "zz"
    W = zoo.Param("I", "H/3", init="glorot_uniform")
    h = zoo.State("H/3")

    def step(self, x, h):
        return zoo.tanh(x @ self.W) + h


@zoo.hookimpl
def zoo_register_cells(register):
    register(Odd)
'''


def run(*args: str) -> Result:
    return CliRunner(env={"ZOO_PLUGINS": ""}).invoke(cli, args, prog_name="zoo", catch_exceptions=False)


def process(*args: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own: what a file registers stays registered."""
    command = [sys.executable, "-m", "zoo", *args]
    return subprocess.run(
        command, env={**os.environ, "ZOO_PLUGINS": ""}, capture_output=True, encoding="utf-8", check=True
    )


@pytest.fixture
def odd(tmp_path: Path) -> str:
    path = tmp_path / "odd.py"
    path.write_text(ODD, encoding="utf-8")
    return str(path)


def names(output: str) -> list[str]:
    lines = output.partition("\n\n")[0].splitlines()[1:]
    return [line.split()[0] for line in lines if not line.startswith(" ")]  # the last column wraps


# ---- the list -----------------------------------------------------------------------------------------


def test_table_columns() -> None:
    heading, *rows = run("cells").output.splitlines()
    first = next(row for row in rows if row.startswith("vanilla "))
    headings = ["cell", "family", "year", "scope", "state", "state", "size", "parameters", "description"]
    assert heading.split() == headings
    assert first.split()[:7] == ["vanilla", "classic", "1990", "recurrence", "h", "128", "24,832"]
    assert "128 units and 65 inputs" in "\n".join(rows)


def test_last_column_wraps_in_a_pipe() -> None:
    output = run("cells").output
    start = output.partition("\n")[0].index("description")
    lines = output.partition("\n\n")[0].splitlines()
    assert max(len(line) - start for line in lines) <= 40
    assert any(line[:start].isspace() for line in lines)
    words = " ".join(line[start:] for line in lines).split()
    assert " ".join(zoo.get_cell("lstm").summary().split()) in " ".join(words)


@pytest.mark.parametrize("command", [["cells"], ["optimizers"], ["show", "para_lstm"]])
def test_code_in_docstrings_has_single_backticks(command: list[str]) -> None:
    output = run(*command).output
    assert "``" not in output
    assert "`" in output


LISTINGS = [
    "blocks",
    "cells",
    "modifiers",
    "tasks",
    "losses",
    "optimizers",
    "samplers",
    "trackers",
    "plugins",
]


@pytest.mark.parametrize("command", LISTINGS)
def test_csv_has_a_row_for_each_component(command: str) -> None:
    result = CliRunner().invoke(cli, [command, "--csv"], catch_exceptions=False)
    rows = list(csv.DictReader(result.stdout.splitlines()))
    infos = json.loads(CliRunner().invoke(cli, [command, "--json"]).stdout)
    assert [row["name"] for row in rows] == [info["name"] for info in infos]


def test_json_has_full_summary_and_formulas() -> None:
    (lstm,) = json.loads(run("cells", "--json", "lstm").output)
    size = {"input_size": 65, "hidden_size": 128}
    assert lstm["summary"] == type(zoo.get_cell("lstm")).summary()
    assert lstm["parameters"] == {**size, "count": 99_328, "formula": "I·4H + H·4H + 4H"}
    assert lstm["state_size"] == {**size, "count": 256, "formula": "H + H"}
    assert lstm["states"] == {"h": ["H"], "c": ["H"]}
    assert "speed" not in lstm


def test_default_order_is_family_then_name() -> None:
    rows = json.loads(run("cells", "--json").output)
    assert [row["name"] for row in rows] == sorted(
        zoo.list_cells(), key=lambda name: (type(zoo.get_cell(name)).family, name)
    )


@pytest.mark.parametrize("order", ["name", "family", "year", "state_size", "parameters"])
@pytest.mark.parametrize("sign", ["", "-"])
def test_sort_orders(order: str, sign: str) -> None:
    rows = json.loads(run("cells", "--json", "--sort", f"{sign}{order}").output)
    keys = [row[order]["count"] if isinstance(row[order], dict) else row[order] for row in rows]
    assert keys == sorted(keys, reverse=bool(sign))
    assert len(set(keys)) > 1


def test_sort_breaks_ties_by_name() -> None:
    rows = [{"name": name, "year": year} for name, year in (("b", 2000), ("c", 1990), ("a", 2000))]
    assert [row["name"] for row in sort_cells(rows, "year")] == ["c", "a", "b"]
    assert [row["name"] for row in sort_cells(rows, "-year")] == ["a", "b", "c"]


def test_cells_without_the_size_sort_last(odd: str) -> None:
    for order in ("parameters", "-parameters"):
        output = process("cells", "--plugin", odd, "--sort", order).stdout
        assert names(output)[-1] == "odd"
    row = next(line for line in output.splitlines() if line.startswith("odd "))
    assert row.split()[3:7] == ["recurrence", "h", "-", "-"]


def test_origin_column_is_shown_if_it_differs(odd: str) -> None:
    output = process("cells", "--plugin", odd).stdout
    assert " from" in output.splitlines()[0]
    assert "recurren" in output
    assert " from" not in run("cells").output.splitlines()[0]


def test_unpublished_cells_sort_last_by_year(odd: str) -> None:
    text = Path(odd).read_text(encoding="utf-8").replace(f"    card = {CARD}\n", "")
    Path(odd).write_text(text, encoding="utf-8")
    for order in ("year", "-year"):
        rows = json.loads(process("cells", "--plugin", odd, "--json", "--sort", order).stdout)
        assert [row["name"] for row in rows if row["year"] is None] == ["odd"] == [rows[-1]["name"]]
    row = next(line for line in process("cells", "--plugin", odd).stdout.splitlines() if line[:4] == "odd ")
    assert row.split()[:4] == ["odd", "zz", "-", "recurrence"]


def test_scope_column_distinguishes_mixers() -> None:
    rows = json.loads(run("cells", "--json").output)
    mixers = {"abc", "gla", "gsa", "hgrn2", "lightnet", "longhorn", "m2rnn", "mamba", "mamba2", "mamba3"}
    mixers |= {"log_linear_attention", "raven", "retnet", "rodimus", "ttt_linear"}
    rwkv = {f"rwkv{version}" for version in (4, 5, 6, 7)}
    assert {row["name"] for row in rows if row["scope"] == "mixer"} == mixers | rwkv
    assert {row["scope"] for row in rows} == {"mixer", "recurrence"}
    assert run("cells", "--sort", "scope").output.splitlines()[1].split()[3] == "mixer"


def test_speed_is_measured_or_warned_about(odd: str) -> None:
    result = process("cells", "--plugin", odd, "--speed", "--json", "--sort", "speed", "[ov][da][dn]*")
    vanilla, unlucky = json.loads(result.stdout)
    assert vanilla["speed"].pop("ns_per_token") > 1
    assert vanilla["speed"] == {
        "steps": 64,
        "batch": 8,
        "input_size": 65,
        "hidden_size": 128,
        "dtype": "float32",
    }
    assert unlucky["speed"]["ns_per_token"] is None
    assert "Warning: odd is not measured: cell 'odd': size 'H/3'" in result.stderr


# ---- references ---------------------------------------------------------------------------------------


def test_cite_any_kind_of_component(odd: str) -> None:
    output = run("cite", "slstm", "optimizer:adam", "top_p", f"{odd}:Odd").output
    keys = [line for line in output.splitlines() if line.startswith("@")]
    assert keys == [
        "@misc{beck2024xlstm,",
        "@misc{kingma2014adam,",
        "@misc{holtzman2019curious,",
        "@misc{all1999cell,",
        "@misc{zoo2026,",
    ]
    assert output.startswith(f"{zoo.get_cell('slstm').bibtex()}\n\n@misc")


def test_cite_without_names_prints_zoo() -> None:
    assert run("cite").output == citation(zoo.__version__) + "\n"


def test_cite_drops_duplicates() -> None:
    assert run("cite", "lstm", "gru", "cell:lstm").output.count("@misc{gers2000learning,") == 1


def test_losses_list_built_in_and_registered_ones(own_registry) -> None:
    loss = zoo.get_loss("absolute_error")
    zoo.register_loss(zoo.Loss("mine", loss.row_loss, loss.row_loss_and_grad))
    infos = {info["name"]: info for info in json.loads(run("losses", "--json").output)}
    assert list(infos) == zoo.list_losses() == sorted(infos)
    assert (infos["huber"]["distribution"], infos["mine"]["distribution"]) == (
        "recurrent-zoo",
        "the running program",
    )
    assert infos["cross_entropy"]["options"] == {"label_smoothing": 0.0, "class_weights": None}
    assert zoo.list_losses("*error") == ["absolute_error", "squared_error"]
    assert infos["huber"]["summary"] == "``(o - t)^2 / 2`` up to a distance of delta, linear beyond it."
    assert run("losses", "huber").output.splitlines() == [
        "name   targets  metric         options",
        "huber  numbers  squared error  delta=1.0",
        "",
        "A model takes loss=NAME, or loss=zoo.get_loss(NAME, OPTION=VALUE).",
        "`zoo show loss:NAME` explains one.",
    ]
