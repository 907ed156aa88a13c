"""Options that are only sizes: one module for all values, with the results of a module for each value."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import step_asserts as checks
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.compiler import compile as compiler
from zoo.compiler.cell_kernels import CellKernels, DecodeStep, decode_step, derive_kernels
from zoo.compiler.compile import plan_kernels
from zoo.compiler.frontend.trace_step import trace_step
from zoo.compiler.ir.dims import ZERO, Dim, as_dim, letter, product, quotients_of
from zoo.compiler.ir.solve_sizes import solve_sizes
from zoo.errors import DefinitionError, UsageError

no_files = checks.no_files

H = 24
VALUES = (4, 6)
NUMBERS = {
    "abc slots": "a sum over them",
    "based heads": "a constant of one element for each of them",
    "based rank": "a root of it, and a sum over it",
    "clockwork groups": "a power of two for each of them is in the equations",
    "deep_esn layers": "a loop over them in Python",
    "dendritic_plrnn bases": "a sum over them",
    "gated_delta_product corrections": "a loop over them in Python",
    "gsa slots": "a sum over them",
    "hgrn2 heads": "only the state determines them, and a parameter of the norm needs them",
    "lightnet heads": "only the state determines them, and a root of H / heads scales the output",
    "lmu order": "a sum over it",
    "log_linear_attention heads": "they divide 2H and not H",
    "log_linear_attention levels": "a power of two for each of them is in the equations",
    "log_linear_attention order": "a sum over it",
    "longhorn order": "a sum over it",
    "mamba order": "a sum over it",
    "mamba2 heads": "they divide 2H and not H",
    "mamba2 order": "a sum over it",
    "mamba3 heads": "they divide 2H and not H",
    "mamba3 order": "a sum over it",
    "nvar stride": "a step of a slice",
    "on_lstm chunk": "a sum over it",
    "raven slots": "a sum over them",
    "rebased heads": "a mean over heads times rank",
    "rebased rank": "a root of it, and a mean over heads times rank",
    "rhn depth": "a loop over it in Python",
    "rodimus order": "a root of it, and a sum over it",
    "s4d order": "a sum over it",
    "slice block": "a sum over it",
}
"""Options in sizes that stay numbers, with the reason."""
COMPOSED = [
    "delta_net+zoneout heads",
    "prenorm(delta_net) heads",
    "deltanet(delta_net) heads",
    "deltanet(delta_net) deltanet_heads",
    "lstm+low_rank low_rank_r",
    "lstm_projected+low_rank proj",
    "prenorm(gru+low_rank) low_rank_r",
    "gru+block_diagonal block_diagonal_heads",
    "lstm+short_convolution short_convolution_width",
    "delta_net+short_convolution heads",
]


def size_options(name: str) -> Iterator[str]:
    """The options in the sizes of a cell."""
    cell = zoo.get_cell(name)
    arrays = (*cell.params.values(), *cell.buffers.values(), *cell.states.values())
    names = {name for array in arrays for size in array.shape for name in size.names}
    return (option for option in cell.options if option in names)


SHIPPED = [f"{name} {option}" for name in zoo.list_cells() for option in size_options(name)]
CASES = [case.split() for case in (*SHIPPED, *COMPOSED) if case not in NUMBERS]


def chosen(name: str, **options: int) -> zoo.Cell:
    return zoo.get_cell(name, **options)


def letters(cell: zoo.Cell) -> tuple[str, ...]:
    return plan_kernels(cell).gradient.step_graph.size_options


@contextlib.contextmanager
def with_numbers() -> Iterator[None]:
    """Plan kernels with the values of all options in their code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "trace_for_all_sizes", lambda cell, _: trace_step(cell))
        patch.setattr(compiler, "plan_kernels", plan_kernels.__wrapped__)
        yield


def kernels_with_numbers(cell: zoo.Cell) -> CellKernels:
    with with_numbers():
        return derive_kernels.__wrapped__(cell)


@pytest.mark.parametrize(("name", "option"), CASES, ids=str)
def test_all_values_share_one_module(name: str, option: str) -> None:
    cells = [chosen(name, **{option: value}) for value in VALUES]
    assert all(option in letters(cell) for cell in cells)
    assert len({plan_kernels(cell).source for cell in cells}) == 1
    first, *others = (derive_kernels(cell) for cell in cells)
    assert all(each.forward is first.forward and each.backward is first.backward for each in others)
    assert len({decode_step(cell).advance for cell in cells}) == 1


@pytest.mark.parametrize(("name", "option"), CASES, ids=str)
def test_an_axis_of_length_one_has_a_module_of_its_own(name: str, option: str) -> None:
    # The least width of a convolution is two, and its state holds one step less.
    cell = chosen(name, **{option: zoo.get_cell(name).declared_options[option].low})
    assert option not in letters(cell)


@pytest.mark.parametrize("case", NUMBERS)
def test_an_option_that_is_more_than_a_size_stays_a_number(case: str) -> None:
    name, option = case.split()
    values = (4, 8)
    cells = [chosen(name, **{option: value}) for value in values]
    assert not any(option in letters(cell) for cell in cells)
    assert len({plan_kernels(cell).source for cell in cells}) == len(values)


@pytest.mark.parametrize(("name", "option"), CASES, ids=str)
def test_bits_are_those_of_kernels_for_one_value(name: str, option: str) -> None:
    assert_bits_of_numbers(chosen(name, **{option: VALUES[0]}), (5, H))


def assert_bits_of_numbers(cell: zoo.Cell, sizes: tuple[int, int]) -> None:
    """Compare with kernels for the values of the options, as plain Python."""
    case = checks.trial(cell, sizes=sizes)
    with checks.interpreted(case):
        dense = case.both_passes(case.x)
        results = [dense, case.both_passes(case.x, "float32"), decoded(case, decode_step(cell))]
    checks.assert_forward(case, dense[0], case.x)
    case.passes = kernels_with_numbers(case.cell)
    with checks.interpreted(case):
        numbers = decoded(case, decoder_with_numbers(cell))
        expected = [case.both_passes(case.x), case.both_passes(case.x, "float32"), numbers]
    for mine, theirs in zip(_arrays(results), _arrays(expected), strict=True):
        assert mine.tobytes() == theirs.tobytes()


def decoder_with_numbers(cell: zoo.Cell) -> DecodeStep:
    with with_numbers():
        return decode_step.__wrapped__(cell)


def decoded(case: Any, decoder: DecodeStep) -> list[np.ndarray]:
    """The outputs of decode steps for the first sequence."""
    params, x, state, *inputs = case._arguments(case.x, "float64")
    now = [tuple(each[:1, :1].copy() for each in group) for group in inputs]
    token = x[:1, :1].copy()
    y, workspace = decoder.prepare(params, token, tuple(each[:1].copy() for each in state), *now)
    outputs = []
    for t in range(len(x)):
        token[:] = x[t, :1]
        for group, at_t in zip(inputs, now, strict=True):
            for each, target in zip(group, at_t, strict=True):
                target[:] = each[t, :1]
        decoder.advance(workspace)
        outputs.append(y.copy())
    return outputs


def _arrays(results: Any) -> list[np.ndarray]:
    """The arrays in nested tuples."""
    if isinstance(results, np.ndarray):
        return [results]
    return [array for each in results for array in _arrays(each)]


@pytest.mark.parametrize("heads", [2, 3])
@pytest.mark.parametrize("name", ["delta_net", "gla", "matrix_lstm", "retnet"])
def test_gradients_are_exact(name: str, heads: int) -> None:
    checks.check(checks.trial(chosen(name, heads=heads), sizes=(3, 12)))


class Grouped(zoo.Cell):
    """A cell with an option for each use: a size, a divisor of H, and both at once."""

    W = zoo.Param("I", "H", init="glorot_uniform")
    down = zoo.Param("H", "rank", init="glorot_uniform")
    up = zoo.Param("rank", "H", init="glorot_uniform")
    mix = zoo.Param("groups", "H/groups", "H/groups", init="glorot_uniform")
    h = zoo.State("H")
    groups = zoo.Option(2, low=1)
    rank = zoo.Option(3, low=1)

    def step(self, x: Any, h: Any) -> Any:
        mixed = (h.reshape(self.groups, 1, -1) @ self.mix).reshape(-1)
        return np.tanh(x @ self.W + mixed + (h @ self.down) @ self.up)


class Kept(zoo.Cell):
    """Base class of cells whose step needs the value of an option."""

    W = zoo.Param("I", "H", init="glorot_uniform")
    parts = zoo.Param("size", "H", init="glorot_uniform")
    h = zoo.State("H")
    size = zoo.Option(3, low=1)

    def step(self, x: Any, h: Any) -> Any:
        return np.tanh(x @ self.W + self.value() * h + np.max(self.parts, axis=0))

    def value(self) -> Any:
        raise NotImplementedError


class Looped(Kept):
    """A loop in Python."""

    def value(self) -> Any:
        return sum(self.parts[index] for index in range(self.size))


class Named(Kept):
    """A key of a dictionary."""

    def value(self) -> Any:
        return {3: 0.5, 4: 0.25}[self.size]


class Compared(Kept):
    """A condition."""

    def value(self) -> Any:
        return 0.5 if self.size > 3 else 0.25


class Divided(Kept):
    """A number that is computed in Python."""

    def value(self) -> Any:
        return 1 / self.size


class Rounded(Kept):
    """A quotient that Python rounds."""

    def value(self) -> Any:
        return self.parts[self.size // 2]


class Counted(Kept):
    """A mean, which divides by the length of an axis."""

    def value(self) -> Any:
        return np.mean(self.parts[:, :1] ** 2)


class Formatted(Kept):
    """A text."""

    def value(self) -> Any:
        return {"3": 0.5}.get(f"{self.size}", 0.25)


class Typed(Kept):
    """A number, if it is one."""

    def value(self) -> Any:
        return 0.5 if isinstance(self.size, int) and self.size > 3 else 0.25


class Free(Kept):
    """A size alone."""

    def value(self) -> Any:
        return 0.5


KEPT = [Looped, Named, Compared, Divided, Rounded, Counted]


@pytest.mark.parametrize("groups", [2, 3])
@pytest.mark.parametrize("rank", [2, 5])
def test_options_of_your_cells_are_letters(groups: int, rank: int) -> None:
    cell = Grouped(groups=groups, rank=rank)
    assert letters(cell) == ("groups", "rank")
    assert plan_kernels(cell).source == plan_kernels(Grouped()).source
    checks.check(checks.trial(cell, sizes=(3, 6)))


def test_option_that_is_a_size_alone_is_a_letter() -> None:
    assert letters(Free(size=3)) == ("size",)


class NegativeIndex(Kept):
    """An index that is negative for some values of the option and some sizes of the layer."""

    big = zoo.Param("4 * H", init="ones")

    def value(self) -> Any:
        return zoo.sigmoid(self.big[2 - self.size * self.parts.shape[1] :][0])


class Emptied(Kept):
    """An axis that is empty if the option is two."""

    def value(self) -> Any:
        return np.max(self.parts[2:], axis=0)


@pytest.mark.parametrize("kind", [NegativeIndex, Emptied, Formatted, Typed])
@pytest.mark.parametrize("size", [3, 4])
def test_a_value_that_a_step_needs_without_an_error_counts(kind: type[Kept], size: int) -> None:
    assert_bits_of_numbers(kind(size=size), (3, 4))


def test_an_axis_that_is_empty_for_a_value_is_an_error() -> None:
    plan_kernels(Emptied(size=4))
    with pytest.raises(DefinitionError, match=r"shape \(0, H\), which is empty"):
        plan_kernels(Emptied(size=2))


def test_names_of_other_variables_stay_numbers() -> None:
    class Colliding(zoo.Cell):
        """A quotient of H by heads would have the name of the other option."""

        heads, H_per_heads = zoo.Option(2, help="heads"), zoo.Option(3, help="a size")
        W, b = zoo.Param("heads", "H / heads"), zoo.Param("H_per_heads", "I")
        h = zoo.State("H")

        def step(self, x, h):
            return h * self.W.reshape(-1) + np.max(self.b @ x)

    assert letters(Colliding()) == ("heads",)


@pytest.mark.parametrize("kind", KEPT)
@pytest.mark.parametrize("size", [3, 4])
def test_a_step_that_needs_a_value_gets_it(kind: type[Kept], size: int) -> None:
    cell = kind(size=size)
    assert letters(cell) == ()
    checks.check(checks.trial(cell))


@pytest.mark.parametrize("groups", [2, 4])
def test_compiled_kernels_have_exact_gradients(groups: int) -> None:
    case = checks.trial(Grouped(groups=groups), sizes=(3, 8))
    dense = case.both_passes(case.x)
    checks.assert_forward(case, dense[0], case.x)
    checks.assert_gradients(case, dense[1])


def test_sizes_that_an_option_does_not_divide_are_an_error() -> None:
    with pytest.raises(UsageError, match="H=6 is not divisible by groups=4"):
        zoo.Recurrent(Grouped(groups=4), 3, 6)


def test_kernels_compute_a_quotient_once() -> None:
    source = plan_kernels(zoo.get_cell("delta_net", heads=4)).source
    functions = re.split(r"\n(?=def )", source)
    assert all(function.count("H // heads") <= 1 for function in functions)
    assert "H_per_heads = H // heads" in source


# ---- sizes ---------------------------------------------------------------------------------------------

OPTIONS = ("heads", "rank")
LETTERS = {name: letter(name) for name in ("I", "H", *OPTIONS)}


def term(factor: int, parts: list[Dim], divisor: Dim) -> Dim:
    quotient = product([as_dim(factor), *parts]).divide(divisor)
    assert quotient is not None
    return quotient


TERMS = st.builds(
    term,
    st.sampled_from([1, 2, 3, -1]),
    st.lists(st.sampled_from([*LETTERS.values()]), max_size=3),
    st.sampled_from([as_dim(1), letter("heads"), letter("rank")]),
)
SIZES = st.lists(TERMS, min_size=1, max_size=3).map(lambda terms: sum(terms, ZERO))
ENVS = [
    {"I": 5 * heads * rank, "H": 2 * heads * rank, "heads": heads, "rank": rank}
    for heads, rank in itertools.product((2, 3), (2, 5))
]


@given(a=SIZES, b=SIZES)
def test_arithmetic_matches_evaluated_values(a: Dim, b: Dim) -> None:
    for env in ENVS:
        assert (a + b).evaluate(env) == a.evaluate(env) + b.evaluate(env)
        assert (a - b).evaluate(env) == a.evaluate(env) - b.evaluate(env)
        assert (a * b).evaluate(env) == a.evaluate(env) * b.evaluate(env)


@given(a=SIZES, divisor=st.sampled_from([letter("heads"), letter("heads") * letter("rank")]))
def test_options_divide_every_size(a: Dim, divisor: Dim) -> None:
    quotient = a.divide(divisor)
    assert quotient is not None
    assert quotient * divisor == a


@given(a=SIZES)
def test_text_has_the_value(a: Dim) -> None:
    if a.quotients is None:
        return
    for env in ENVS:
        values = env | {each.name: env[each.dividend] // env[each.option] for each in quotients_of(OPTIONS)}
        assert eval(str(a), values) == a.evaluate(env)


@given(a=SIZES)
def test_signs_include_that_of_every_value(a: Dim) -> None:
    for env in ENVS:
        assert np.sign(float(a.evaluate(env))) in a.signs()


@given(a=SIZES)
def test_substituted_values_give_the_same_size(a: Dim) -> None:
    for env in ENVS:
        options = {name: env[name] for name in OPTIONS}
        assert a.substitute(options).evaluate({"I": env["I"], "H": env["H"]}) == a.evaluate(env)


@given(dims=st.lists(SIZES.filter(lambda dim: dim != ZERO), min_size=1, max_size=4))
def test_solutions_have_the_values_of_the_letters(dims: list[Dim]) -> None:
    lengths = [(f"length_{index}", dim) for index, dim in enumerate(dims)]
    for env in ENVS:
        known = {text: dim.evaluate(env) for text, dim in lengths}
        if not all(value > 0 and value.denominator == 1 for value in known.values()):
            continue
        values = {text: int(value) for text, value in known.items()}
        for name, solution in solve_sizes(tuple(LETTERS), lengths).items():
            values[name] = eval(solution.text, {}, values)
            assert values[name] == env[name], solution
