"""``zoo show``: the card, the derived kernels and their plan; and ``zoo cache``."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import zoo
from zoo.cli.app import cli
from zoo.compiler.compile import plan_kernels
from zoo.registry import load_cell_file

RICH = Path(__file__).parents[1] / "support" / "kitchen_sink_cell.py"
CELL = '''
import zoo

CARD = zoo.Card(title="A cell for tests", authors="Nobody", year=2020, url="https://example.org")


class Plain(zoo.Cell):
    """A plain cell."""

    card = CARD
    W = zoo.Param("I", "H", init="glorot_uniform")
    U = zoo.Param("H", "H", init="orthogonal")
    h = zoo.State("H")
    gain = zoo.Option(1.0, low=0.0)

    def step(self, x, h):
        u = zoo.tanh(x @ self.W + h @ self.U)
        return self.gain * u * (2.0 + u)


class Heads(zoo.Cell):
    """Heads that divide H."""

    card = CARD
    W = zoo.Param("I", "H")
    R = zoo.Param("heads", "H/heads", "H/heads")
    h = zoo.State("H")
    heads = zoo.Option(4)

    def step(self, x, h):
        mixed = (h.reshape(self.heads, 1, -1) @ self.R)[:, 0].reshape(-1)
        return zoo.tanh(x @ self.W + mixed)


class Wrong(zoo.Cell):
    """Equations that do not fit."""

    card = CARD
    W = zoo.Param("I", "2H")
    h = zoo.State("H")

    def step(self, x, h):
        return x @ self.W + h
'''

BLOCK = '''
import zoo


class Gated(zoo.Block):
    """A block for tests."""

    scale = zoo.Option(2.0, help="scale of the skip connection")
    Wo = zoo.Param("2*Y", "D", help="output projection")
    past = zoo.State("D", help="the last input")

    def step(self, x, past, cell):
        return self.scale * x + cell(x) @ self.Wo, x
'''


def run(*args: str, **env: str) -> Result:
    return CliRunner(env={"ZOO_PLUGINS": "", **env}).invoke(
        cli, args, prog_name="zoo", catch_exceptions=False
    )


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(CELL, encoding="utf-8")
    return str(path)


# ---- the card of a cell with one of each thing that may be declared -----------------------------------


def test_every_kind_of_array_has_a_table() -> None:
    output = run("show", f"{RICH}:Rich").output
    tables = output.partition("\n\nParameters")[2].partition("\n\nOptions")[0]
    assert (
        tables
        == """: I·H + 2·H
  W  (I, H)       glorot_uniform  input to memory
  D  (H) complex  rotations       memory to itself

Buffers, which are not trained
  A  (H, H)  orthogonal  hidden to hidden, fixed

States: H + 2·H + 1
  h  (H)           the output
  z  (H) complex   memory
  n  (1) discrete  steps so far

Auxiliary inputs
  dt  ()  1 by default  time since the last step"""
    )


def test_traceable_values_have_a_table() -> None:
    output = run("show", f"{RICH}:Rich").output
    assert (
        output.partition("\n\nTraces\n")[2].partition("\n\nMemory")[0]
        == """  pre_h  (H)
  h      (H)     state, output, tanh, from -1 to 1
  n      (1)     state
  z      (2, H)  state"""
    )
    assert (
        "  kept    (4, H/8, 1)       complex, as real and imaginary parts, the same at every step"
        in run("show", "retnet").output
    )


def test_unreadable_step_has_no_traces(file: str) -> None:
    assert "Traces\n  unknown: cell class Wrong" in run("show", f"{file}:Wrong").output


def test_block_that_adds_nothing_lists_no_parameters() -> None:
    tables = run("show", "block:bare").output.partition("\n\nParameters")[2].partition("\n\nOptions")[0]
    assert tables == ", of which a layer has those that it uses\n  none"


def test_block_in_a_file_lists_parameters_and_options(tmp_path: Path) -> None:
    (tmp_path / "gated.py").write_text(BLOCK, encoding="utf-8")
    output = run("show", f"{tmp_path / 'gated.py'}:Gated").output
    tables = output.partition("\n\nParameters")[2].partition("\n\nReference")[0]
    assert (
        tables
        == """, of which a layer has those that it uses
  Wi  (I, D)    lecun_normal  projection of the input of the first layer
  bi  (D)       zeros         bias of the projection
  Wo  (2*Y, D)  zeros         output projection

States
  past  (D)  the last input

Options
  gated_scale  2.0  a finite number  scale of the skip connection"""
    )


@pytest.mark.parametrize(("name", "option"), [("block:prenorm", "prenorm_eps"), ("zoneout", "zoneout_p")])
def test_options_of_blocks_and_modifiers_have_the_name_that_set_takes(name: str, option: str) -> None:
    assert f"\nOptions\n  {option} " in run("show", name).output
    composed = {"prenorm_eps": "prenorm(vanilla)", "zoneout_p": "vanilla+zoneout"}[option]
    assert run("show", composed, "--source", "--set", f"{option}=0.5").exit_code == 0


def test_empty_tables_are_omitted() -> None:
    output = run("show", "vanilla").output
    assert "Buffers" not in output
    assert "Inputs" not in output
    assert "complex" not in output


# ---- --source -----------------------------------------------------------------------------------------


def test_source_of_a_derived_cell_is_both_passes(file: str) -> None:
    result = run("show", f"{file}:Plain", "--source")
    assert (result.exit_code, result.output) == (0, plan_kernels(load_cell_file(f"{file}:Plain")()).source)
    assert "def forward(params, x, state):" in result.output
    assert "def backward(params, x, state, tape, dy, dlast, needs_dx):" in result.output


def test_source_with_options(file: str) -> None:
    cell = load_cell_file(f"{file}:Plain")
    result = run("show", f"{file}:Plain", "--source", "--set", "gain=0.5")
    assert result.output == plan_kernels(cell(gain=0.5)).source
    assert result.output != plan_kernels(cell()).source


def test_source_of_hand_written_kernels_is_their_module() -> None:
    text = run("show", "vanilla", "--source").output
    assert "class Vanilla(zoo.Cell):" in text
    assert "def zoo_register_cells" in text


def test_source_is_coloured_on_a_terminal(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.cli.commands.show.is_terminal", lambda: True)
    plain = run("show", f"{file}:Plain", "--source")
    coloured = run("show", f"{file}:Plain", "--source", FORCE_COLOR="1", TERM="xterm-256color", COLUMNS="200")
    assert "def" in plain.output
    assert "\x1b[" in coloured.output


def test_source_and_graph_compile_nothing(file: str) -> None:
    for page in ("--source", "--graph"):
        program = (
            "import sys; from zoo.cli.app import cli\n"
            f"cli(['show', {f'{file}:Plain'!r}, {page!r}], standalone_mode=False)\n"
            "assert 'numba' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=60)


# ---- --graph ------------------------------------------------------------------------------------------


def test_graph_of_a_derived_cell(file: str) -> None:
    lines = run("show", f"{file}:Plain", "--graph").output.splitlines()
    assert lines[0] == "plain  how its kernels run, gain=1.0"
    words = [" ".join(line.split()) for line in lines]
    for line in (
        "for all steps together, before the loop over time",
        "pre_u = x @ W (I) @ (I, H)",
        "at every step",
        "pre_u += h @ U (H) @ (H, H)",
        "one loop over (H)",
        "u = tanh(pre_u) saved",
        "Saved for backward, for every step and sequence",
        "h' H which is the output",
        "total 2H elements",
        "at every step, from the last to the first",
        "dh = da @ U.T (H) @ (H, H)",
        "for a chunk of steps together, after the loop over them",
        "dU += outer(h, da) (H, H) summed over steps and rows",
        "One step of one sequence, for I=65 and H=128",
        "forward flops in products 2·H·H + 2·H·I 49,408",
        "the same for tokens 2·H·H 32,768",
        "backward flops in products 4·H·H + 4·H·I 98,816",
        "saved bytes in float32 8H 1,024",
        "bytes in float64 16H 2,048",
    ):
        assert line in words, line


@pytest.mark.parametrize(
    ("cell", "lines"),
    [
        (
            "gla",
            ["concat: value, key, query, decay", "memory_gradient: gradients of value, key, query, decay"],
        ),
        ("retnet", ["concat: value, key, query", "concat_2: decay, cosine, sine"]),
        ("mamba3", ["concat: 2 values, 2 keys, query, decay"]),
        (
            "gated_delta_product",
            ["concat_4: for each of 2 updates, value, key, query, decay, probe, rate"],
        ),
        ("mamba", ["concat: value, key, query, time", "copy: rates"]),
        ("s4d", ["u: value", "concat: keep, take, read", "filter_gradient: gradients of value"]),
    ],
)
def test_graph_names_the_parts_of_operands(cell: str, lines: list[str]) -> None:
    printed = [line.strip() for line in run("show", cell, "--graph").output.splitlines()]
    for line in lines:
        assert line in printed
        operand = line.partition(":")[0]
        above = printed[: printed.index(line)]
        assert any(
            f"({operand}" in each or f", {operand})" in each or each.startswith(f"{operand} =")
            for each in above[-2:]
        )


def test_graph_lists_recomputed_values(file: str) -> None:
    words = run("show", f"{file}:Plain", "--graph").output.partition("Recomputed in the backward pass\n")[2]
    recomputed = words.partition("\n\n")[0].strip()
    assert recomputed
    assert recomputed != "nothing"
    heads = run("show", f"{file}:Heads", "--graph").output
    assert "Recomputed in the backward pass\n  nothing\n" in heads


def test_graph_with_sizes_and_options(file: str) -> None:
    output = run(
        *("show", f"{file}:Heads", "--graph", "--input", "3", "--hidden", "10", "--set", "heads=2")
    ).output
    assert "heads=2" in output.splitlines()[0]
    assert "One step of one sequence, for I=3 and H=10" in output
    lines = [line.split() for line in output.splitlines()]
    assert ["2·H·H/heads", "+", "2·H·I", "160"] in [words[-4:] for words in lines]


@pytest.mark.parametrize("name", ["lru", "nvar", "lstm+zoneout", "m2rnn"])
def test_arrays_with_numbers(name: str) -> None:
    cell = zoo.get_cell(name)
    output = run("show", name, "--input", "3", "--hidden", "8").output
    assert f"Parameters at I=3, H=8: {cell.parameter_count(3, 8):,}\n" in output
    assert f"States: {cell.state_size(3, 8):,}\n" in output
    for array, shape in (cell.param_shapes(3, 8) | cell.state_shapes(3, 8)).items():
        declared = (cell.params | cell.states)[array]
        text = f"({', '.join(map(str, shape[declared.complex :]))})" + " complex" * declared.complex
        assert re.search(rf"^  {array} +{re.escape(text)} ", output, re.MULTILINE), array


def test_set_changes_shapes() -> None:
    output = run("show", "m2rnn", "--set", "heads=4").output
    assert "Parameters at I=65, H=128: " in output
    assert re.search(r"^  W +\(4, 32, 32\)", output, re.MULTILINE)
    assert re.search(r"^  heads +4 ", output, re.MULTILINE)


def test_cell_with_own_kernels_has_no_graph() -> None:
    result = run("show", "vanilla", "--graph")
    assert (result.exit_code, result.output) == (
        0,
        "cell 'vanilla' has its own kernels: nothing is derived, so there is no plan. `zoo show vanilla "
        "--source` prints them.\n",
    )


# ---- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("Plain --source --graph", 2, "--source and --graph are two pages; ask for one of them."),
        ("Plain --source --hidden 3", 2, "--source prints the same kernels for all sizes; leave --input"),
        ("Plain --set gian=1", 2, "Did you mean 'gain'?"),
        ("Heads --hidden 6", 2, "cell 'heads': size 'H/heads': H=6 is not divisible by heads=4"),
        ("Plain --graph --hidden 0", 2, "--hidden is 0; expected an integer of at least 1."),
        ("Plain --graph --set gain=-1", 2, "cell 'plain': option 'gain' is -1.0"),
        ("Plain --graph --set gian=1", 2, "Did you mean 'gain'?"),
        ("Plain --source --set gain", 2, "--set 'gain' is not an assignment; write NAME=VALUE."),
        ("Heads --graph --hidden 6", 2, "cell 'heads': size 'H/heads': H=6 is not divisible by heads=4"),
        ("Wrong --source", 1, "Wrong"),
        ("Wrong --graph", 1, "mine.py"),
    ],
)
def test_invalid_arguments_are_errors(file: str, arguments: str, code: int, message: str) -> None:
    result = run("show", *f"{file}:{arguments}".split())
    assert result.exit_code == code
    assert message in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("arguments", ["adam --set lr=0.1", "parity --hidden 3", "block:mamba --input 3"])
def test_only_cells_have_sizes(arguments: str) -> None:
    result = run("show", *arguments.split())
    assert result.exit_code == 2
    assert "--set, --input and --hidden are for cells; leave them out." in result.output


@pytest.mark.parametrize("flag", ["--hidden 8", "--input 8", "--set gain=2"])
def test_runs_have_no_sizes_to_set(flag: str, tmp_path: Path) -> None:
    result = run("show", str(tmp_path), *flag.split())
    assert (result.exit_code, result.output) == (
        2,
        f"Error: {tmp_path} is a run; --set, --input and --hidden are for cells.\n",
    )


def test_only_cells_have_a_graph() -> None:
    result = run("show", "adam", "--graph")
    assert (result.exit_code, result.output) == (
        2,
        "Error: optimizer 'adam': only the kernels of a cell are derived; --source prints its module.\n",
    )


# ---- zoo cache ----------------------------------------------------------------------------------------


def test_cache_counts_derived_modules_and_kernels(tmp_path: Path) -> None:
    folder = tmp_path / "kernels"
    folder.mkdir()
    (folder / "forward-1.kernel").write_bytes(b"x" * 1000)
    (folder / "_zoo_generated_plain_1.py").write_bytes(b"x" * 500)
    place = {"ZOO_CACHE_DIR": str(tmp_path)}
    counted = "1 compiled kernels and 1 derived modules"
    assert run("cache", **place).output.startswith(f"{counted}, 1.50 kB of 1.00 GB, in {folder}\n")
    unlimited = run("cache", **place, ZOO_CACHE_MB="0").output
    assert unlimited.startswith(f"{counted}, 1.50 kB, in {folder}\n")
    assert run("cache", "clear", **place).output == f"Removed {counted} from {folder}.\n"
    assert list(folder.iterdir()) == []


def test_a_derived_class_names_its_source_below_its_title(tmp_path):
    (tmp_path / "own.py").write_text(
        'import zoo\n\n\nclass Own(type(zoo.get_cell("gru"))):\n    """An own GRU."""\n'
    )
    reference = run("show", f"{tmp_path / 'own.py'}:Own").stdout.partition("\nReference\n")[2]
    assert reference.startswith("  Own, unpublished.\n  Derived from the cell 'gru': Kyunghyun Cho")
    assert reference.count("erived from") == 1
    assert "Variant:" not in reference
