"""The hidden size that is nearest to a budget of parameters."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo.comparison import specs
from zoo.comparison.plan import DEFAULTS, is_label
from zoo.comparison.resolve import (
    MAX_HIDDEN,
    HiddenSize,
    count_parameters,
    count_parts,
    nearest_hidden_size,
    smallest_hidden_size,
)
from zoo.comparison.specs import TaskInfo
from zoo.training.task_dataset import model_for


def cell(inputs: int, square: int, step: int):
    """Parameters of a cell with ``square`` recurrent matrices that comes in multiples of ``step``."""
    return lambda hidden: None if hidden % step else hidden * (inputs + square * hidden) + 3


@given(
    st.integers(1, 200_000),
    st.integers(1, 20),
    st.integers(0, 8),
    st.sampled_from([1, 2, 4, 7, 16, 64, 100]),
)
def test_nearest_hidden_size_is_optimal(budget, inputs, square, step):
    count = cell(inputs, square, step)
    size = nearest_hidden_size(budget, count)
    sizes = [HiddenSize(hidden, number) for hidden in range(1, 1500) if (number := count(hidden)) is not None]
    if sizes[-1].parameters < budget:
        return
    expected = min(sizes, key=lambda other: (abs(other.parameters - budget), other.hidden))
    assert size == expected


def test_smaller_size_wins_ties():
    assert nearest_hidden_size(10, lambda hidden: 10) == HiddenSize(1, 10)
    assert nearest_hidden_size(10, lambda hidden: 5 * hidden) == HiddenSize(2, 10)
    assert nearest_hidden_size(12, lambda hidden: 8 * hidden) == HiddenSize(1, 8)  # 16 is as near


def test_unreachable_budgets():
    assert nearest_hidden_size(1, cell(5, 1, 16)) == HiddenSize(16, 16 * 21 + 3)
    assert nearest_hidden_size(10**12, lambda hidden: hidden) is None
    assert nearest_hidden_size(100, lambda hidden: None) is None
    assert nearest_hidden_size(MAX_HIDDEN, lambda hidden: hidden) == HiddenSize(MAX_HIDDEN, MAX_HIDDEN)


def test_smallest_hidden_size():
    assert smallest_hidden_size(cell(5, 1, 16)) == HiddenSize(16, 16 * 21 + 3)
    assert smallest_hidden_size(lambda hidden: None) is None


def test_bisection_counts_few_sizes():
    counted = []
    nearest_hidden_size(100_000, lambda hidden: counted.append(hidden) or 4 * hidden * hidden)
    assert len(counted) < 40
    assert len(set(counted)) == len(counted)


@pytest.mark.parametrize("budget", [500, 20_000])
def test_counts_equal_those_of_models(budget):
    """Cells with any size, with heads, with buffers, and with a modifier."""
    task = SimpleNamespace(input_size=5, output_size=3, category_inputs=lambda _: None)
    settings = {**DEFAULTS, "layers": 2}
    for name in ("vanilla", "lstm_projected", "clockwork", "gla", "lmu", "lstm+block_diagonal"):
        cell = zoo.get_cell(name)

        def count(hidden, cell=cell):
            try:
                return count_parameters(cell, task, hidden, settings)
            except zoo.UsageError:
                return None

        size = nearest_hidden_size(budget, count)
        assert size is not None
        brute = [
            HiddenSize(hidden, number) for hidden in range(1, 200) if (number := count(hidden)) is not None
        ]
        assert size == min(brute, key=lambda other: (abs(other.parameters - budget), other.hidden)), name


@pytest.mark.parametrize("task", ["copying", "selective_copying", "text"])
@pytest.mark.parametrize("name", ["gru", "gla", "prenorm(gru)", "mamba(vanilla)"])
def test_counts_with_an_embedding_equal_those_of_models(name, task):
    """Around a cell in a block, an embedding of H numbers replaces the projection of the input."""
    info, cell = TaskInfo(zoo.get_task(task)), zoo.get_cell(name)
    for size in (3, 8):
        model = model_for(info.task, cell, embedding=size, hidden_size=8, num_layers=2)
        settings = {**DEFAULTS, "layers": 2, "embedding": size}
        assert count_parameters(cell, info, 8, settings) == model.layout.size
        assert count_parts(cell, info, 8, settings)["embedding"] == model.params["embedding"].size


@given(st.integers(300, 4000), st.sampled_from([4, 8, 16]), st.sampled_from(["gru", "prenorm(gru)"]))
@settings(max_examples=30, deadline=None)
def test_nearest_size_with_an_embedding_is_optimal(budget, embedding, name):
    """A block at the width of the embedding has fewer parameters than one of a smaller width."""
    info, cell = TaskInfo(zoo.get_task("copying")), zoo.get_cell(name)
    arguments = {**DEFAULTS, "embedding": embedding}
    counts = {hidden: count_parameters(cell, info, hidden, arguments) for hidden in range(1, 40)}
    size = nearest_hidden_size(budget, counts.get, [embedding])
    best = min(counts, key=lambda hidden: (abs(counts[hidden] - budget), hidden))
    assert size == HiddenSize(best, counts[best])


@pytest.mark.parametrize(("valid", "expected"), [([8], 8), ([2, 8], 8), ([8, 100], 8), ([], None)])
def test_exception_can_be_the_only_or_the_largest_size(valid, expected):
    size = nearest_hidden_size(100, lambda hidden: 10 * hidden if hidden in valid else None, [8])
    assert (size.hidden if size else None) == expected


def test_parts_of_cell_in_block_add_up():
    info = SimpleNamespace(input_size=3, output_size=2, category_inputs=lambda _: None)
    settings = {**DEFAULTS, "learned_state": True, "layers": 2}
    inside = zoo.get_cell("prenorm(gru)")
    parts = count_parts(inside, info, 4, settings)
    gru = 2 * zoo.get_cell("gru").parameter_count(4, 4) + 2 * 4  # with the learned initial states
    assert parts == {"cell": gru, "block": (3 * 4 + 4) + 2 * (4 + 4 * 4) + 4, "readout": 4 * 2 + 2}
    assert sum(parts.values()) == count_parameters(inside, info, 4, settings)


def test_every_cell_is_compared_in_every_block(tmp_path):
    (tmp_path / "mine.py").write_text(FILE, encoding="utf-8")
    file = str(tmp_path / "mine.py")
    labelled = specs.label_specs("cell", ["a=gru", f"{file}:Mine"])
    inside, _ = specs.in_blocks(labelled, ["bare", "prenorm", f"{file}:Skip"])
    assert inside == {
        "a": "gru",
        "prenorm(a)": "prenorm(gru)",
        "skip(a)": f"{file}:Skip(gru)",
        "mine": f"{file}:Mine",
        "prenorm(mine)": f"prenorm({file}:Mine)",
        "skip(mine)": f"{file}:Skip({file}:Mine)",
    }
    assert all(map(is_label, inside))
    entry, resolved = specs.find_cell(inside["skip(mine)"], {})
    assert (entry.name, resolved.name) == ("skip(mine)", "skip(mine)")
    assert entry.spec == inside["skip(mine)"]


FILE = '''
import zoo


class Mine(zoo.Cell):
    """h' = x W + h."""

    W = zoo.Param("I", "H")
    h = zoo.State("H")

    def step(self, x, h):
        return x @ self.W + h


class Skip(zoo.Block):
    """y = x + cell(x)."""

    def step(self, x, cell):
        return x + cell(x)
'''


def test_path_with_a_plus_sign_is_no_modifier_in_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert specs.spec_for_commands(f"{tmp_path}/a+b.py:Cell") == "./a+b.py:Cell"
    assert specs.spec_for_commands(f"lstm+{tmp_path}/b.py:Noise") == "lstm+b.py:Noise"
