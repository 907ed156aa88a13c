"""``zoo show`` of a cell with one of each thing that may be declared."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from zoo.cli.app import cli

RICH = Path(__file__).with_name("rich_cell.py")


def show(name):
    runner = CliRunner(env={"ZOO_PLUGINS": ""})
    result = runner.invoke(cli, ["show", name], prog_name="zoo", catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_buffers_inputs_complex_and_discrete_arrays_have_their_tables():
    tables = show(f"{RICH}:Rich").partition("\n\nParameters")[2].partition("\n\nOptions")[0]
    assert (
        tables
        == """: I·H + 2·H
  W  (I, H)       glorot_uniform  input to memory
  D  (H) complex  rotations       memory to itself

Buffers, which are not trained
  A  (H, H)  orthogonal  hidden to hidden, fixed

States
  h  (H)           the output
  z  (H) complex   memory
  n  (1) discrete  steps so far

Inputs beside x
  dt  ()  1 if not given  time since the last step"""
    )


def test_what_a_cell_has_not_has_no_table():
    output = show("vanilla")
    assert "Buffers" not in output
    assert "Inputs" not in output
    assert "complex" not in output
