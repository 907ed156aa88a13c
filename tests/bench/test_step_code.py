"""Equations of cells as code of other libraries: the same loss and gradients as zoo."""

from __future__ import annotations

import importlib
import math
import zlib
from functools import cache

import numpy as np
import pytest

import zoo
from zoo import kernels
from zoo.bench.peers import zoo as zoo_peer
from zoo.bench.peers.problem import UnsupportedProblemError
from zoo.bench.peers.step_code import step_code
from zoo.bench.peers.step_functions import default_inputs, load_forward, recurrence, shift, step_functions
from zoo.bench.peers.step_library import ELEMENTWISE, Library, StepVariant
from zoo.bench.peers.step_phases import plan_phases
from zoo.bench.peers.step_structural import STRUCTURAL
from zoo.bench.settings import Shape
from zoo.compiler.frontend.trace_step import step_graph_of, trace_step
from zoo.compiler.interpreter import numpy_impl
from zoo.compiler.ir.elementwise_ops import _erf, _sigmoid, _softplus
from zoo.compiler.ir.graph import ancestors
from zoo.compiler.ir.op_table import OPS
from zoo.registry import list_cells, resolve_cell

SHAPE = Shape(6, 3, 16)
SAMPLE = [
    "gla",
    "retnet",
    "delta_net",
    "gated_delta_net",
    "mamba",
    "matrix_lstm",
    "lru",
    "hgrn",
    "lstm",
    "s5",
]


def kernel_expm(a):
    out = np.empty_like(a)
    with kernels.pure_python():
        kernels.expm(a, out)
    return out


NUMPY = Library(
    "np",
    {
        "np": np,
        "sigmoid": _sigmoid,
        "silu": lambda x: x * _sigmoid(x),
        "log_sigmoid": lambda x: -_softplus(-x),
        "softplus": _softplus,
        "erf": _erf,
        "stop_gradient": np.positive,
        "with_derivative": lambda value, x, slope: value + 0 * x,
        "expm": kernel_expm,
        "one_hot": lambda tokens, count, dtype: np.eye(count, dtype=dtype)[tokens],
        "rows": lambda tokens, matrix: matrix[tokens],
    },
)


def numpy_scan(steps):
    def run(step, states, sequences):
        outputs = []
        for t in range(steps):
            states, output = step(states, [sequence[t] for sequence in sequences])
            outputs.append(output)
        return tuple(np.stack(values) for values in zip(*outputs, strict=True))

    return run


@cache
def problem_of(cell, kind="tokens", shape=SHAPE):
    return zoo_peer.make_problem(cell, shape, "float64", 1, kind)


def results_of_zoo(problem):
    (variant,) = zoo_peer.build(problem)
    with kernels.pure_python():
        loss, _ = variant.check()
    return loss, {name: gradient.copy() for name, gradient in variant.gradients().items()}


def numpy_loss(problem, function):
    params = {**problem.params, **problem.buffers}
    steps = len(problem.inputs)
    y = function.forward(params, problem.inputs, default_inputs(problem), numpy_scan(steps))
    logits = y @ params["Why"] + params["by"]
    assert logits.shape == (*problem.targets.shape, problem.symbols)
    scores = logits - np.log(np.sum(np.exp(logits), axis=-1, keepdims=True))
    return -np.mean(np.take_along_axis(scores, problem.targets[..., None].astype(int), -1))


# One kind of input for each cell saves 6 s.
@pytest.mark.parametrize(
    ("cell", "kind"), [(cell, ("tokens", "dense")[zlib.crc32(cell.encode()) % 2]) for cell in list_cells()]
)
def test_code_of_every_cell_computes_the_loss(cell, kind):
    problem = problem_of(cell, kind)
    (variant,) = zoo_peer.build(problem)
    with kernels.pure_python():
        expected = variant.run()
    for function in step_functions(NUMPY, problem, np.float64):
        assert numpy_loss(problem, function) == pytest.approx(expected, rel=1e-12), function.variant.name


def test_every_operation_of_shipped_cells_has_a_row():
    used = {node.op for cell in list_cells() for node in ancestors(step_graph_of(resolve_cell(cell)).outputs)}
    leaves = {"state"}  # values of the loop, or delays
    assert used - ELEMENTWISE.keys() - STRUCTURAL.keys() - leaves == set()


def test_missing_rows_are_not_made_by_a_step():
    rows = {*ELEMENTWISE, *STRUCTURAL}
    assert OPS.keys() - rows == {
        "state",  # values of the loop
        "delay",  # made by a pass of the compiler, as are the gradients
        "dstate_out",
        "dy",
        "expm_derivative",
        "outer",
        "outer_heads",
        "placeholder",  # a parameter that a modifier removed
        "row_sum",
        "variable",  # an argument that zoo.grad differentiates
    }


@pytest.mark.parametrize("name", [name for name in ELEMENTWISE if name not in ("copy", "with_derivative")])
def test_elementwise_rows_compute_the_operation(name):
    op = OPS[name]
    operands = [np.random.default_rng(0).uniform(low, high, 50) for low, high in op.domain]
    count = op.numpy.nin if isinstance(op.numpy, np.ufunc) else len(op.domain)
    if len(operands) == 1 and count == 2:
        operands *= 2
    if op.accepts_bool:
        operands = [
            each > 0.5 if bounds == (0.0, 1.0) else each
            for each, bounds in zip(operands, op.domain, strict=True)
        ]
    names = [f"a{index}" for index in range(len(operands))]
    code = NUMPY.expression(name, *names)
    value = eval(code, {**NUMPY.functions, **dict(zip(names, operands, strict=True))})
    np.testing.assert_allclose(value, op.numpy(*operands), rtol=1e-14, strict=True)


# ---- operations that no shipped cell uses, and shapes that few have ------------------------------------


class Corners(zoo.Cell):
    """Views, scans and matrix functions in one step."""

    W = zoo.Param("I", "3H", init="fan_in_uniform")
    U = zoo.Param("H", "H", init="orthogonal")
    table = zoo.Buffer(3, "H", init="normal")
    h = zoo.State("H")
    m = zoo.State("H", "H")
    past = zoo.State(4, "H")

    def step(self, x, h, m, past):
        a, b, c = zoo.split(x @ self.W, 3)
        past = np.concatenate([past[1:], a[None]])
        mixed = np.sum(past[::-2], axis=0) + past[0]
        run = np.cumprod(1 + b) + np.cumsum(b * c)
        grid = np.concatenate([np.flip(run).reshape(2, -1), np.ones((2, 1)) * h[:2, None]], axis=1)
        top = np.max(grid, axis=1)
        solved = zoo.cayley(0.1 * self.U)
        m = 0.5 * m + np.transpose(zoo.outer(mixed, h) @ solved)
        h = np.tanh(h[::-1] @ self.U + m @ c + mixed + np.sum(top) + np.sum(self.table, axis=0))
        h = np.where(h > 0.9, 0.9, h) + np.where(np.logical_not(b > 0), 1.0, 0.0)
        return h, m, past


@pytest.mark.parametrize(
    "variant", [StepVariant("dense", einsum, large) for einsum in (True, False) for large in (True, False)]
)
def test_views_scans_and_matrix_functions(variant):
    cell = Corners()
    rng = np.random.default_rng(0)
    inputs, hidden, steps, batch = 5, 8, 7, 2
    shapes = {**cell.param_shapes(inputs, hidden), **cell.buffer_shapes(inputs, hidden)}
    params = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    x = rng.standard_normal((steps, batch, inputs))
    code = step_code(NUMPY, cell, inputs, hidden, (steps, batch), variant)
    y = load_forward(NUMPY, code, np.float64)(params, x, {}, numpy_scan(steps))
    bound = cell.with_arrays(params)
    for row in range(batch):
        states = tuple(np.zeros(shape) for shape in cell.state_shapes(inputs, hidden).values())
        for t in range(steps):
            states = bound.step(x[t, row], *states)
            np.testing.assert_allclose(y[t, row], states[0], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("axis", [-1, -2])
def test_recurrence_runs_over_an_axis(axis, reverse):
    a, b = np.random.default_rng(0).uniform(-1, 1, (2, 3, 4, 5))
    graph = trace_step(resolve_cell("lstm")).x.graph
    from zoo.compiler.ir.dims import as_dim
    from zoo.compiler.ir.structural_ops import INPUT, RECURRENCE

    leaves = [graph.node(INPUT, attr=name, shape=(as_dim(4), as_dim(5))) for name in "ab"]
    node = graph.node(RECURRENCE, tuple(leaves), (axis % 2, reverse))
    expected = numpy_impl(node, {}, np.dtype(np.float64))(a, b)
    np.testing.assert_allclose(recurrence(np, a, b, axis, reverse), expected, rtol=1e-14)


def test_shift_reads_zeros_before_the_first_step():
    value = np.arange(1.0, 7.0).reshape(3, 2)
    np.testing.assert_array_equal(shift(np, value, 1), [[0, 0], [1, 2], [3, 4]])
    np.testing.assert_array_equal(shift(np, value, 3), np.zeros((3, 2)))
    np.testing.assert_array_equal(shift(np, value, 5), np.zeros((3, 2)))


# ---- what leaves the loop ------------------------------------------------------------------------------


def phases_of(cell, stores_large=True):
    return plan_phases(step_graph_of(resolve_cell(cell)), {"I": 65, "H": 128}, stores_large)


def test_convolution_of_inputs_leaves_the_loop():
    phases = phases_of("mamba")
    assert phases.states == ["h"]
    (parts,) = phases.delays.values()
    assert [(part.start, part.stop, part.delay) for part in parts] == [(0, 1, 3), (0, 1, 2), (0, 1, 1)]
    assert [node.op for node in phases.loop if node.op == "dot"] == []
    assert [node.op for node in phases.after if node.op == "dot"] == ["dot"]


def test_outer_products_are_in_the_loop_or_before_it():
    (before, large), (inside, small) = (
        (phases.loop, phases.sequence) for phases in (phases_of("gla"), phases_of("gla", stores_large=False))
    )
    assert len(inside) > len(before)
    sizes = {"I": 65, "H": 128}

    def elements(nodes):
        return max(math.prod(dim.evaluate(sizes) for dim in node.shape) for node in nodes)

    assert elements(large) == 64 * 128
    assert elements(small) <= 3 * 128


def test_state_that_keeps_a_part_is_no_delay():
    class Keeps(zoo.Cell):
        """Keep the first entry."""

        W = zoo.Param("I", "H")
        h = zoo.State("H")
        first = zoo.State(2, "H")

        def step(self, x, h, first):
            a = x @ self.W
            return h + a + first[0], np.concatenate([first[:1], a[None]])

    phases = plan_phases(step_graph_of(Keeps()), {"I": 3, "H": 4}, stores_large=True)
    assert phases.states == ["h", "first"]
    assert phases.delays == {}


def test_parts_of_a_complex_state_are_carried_alone():
    function, *_ = step_functions(NUMPY, problem_of("lru"), np.float64)
    assert "concatenate" not in function.code
    assert function.code.count("np.zeros((3, 16)") == 2


# ---- cells that other libraries cannot compute ---------------------------------------------------------


def test_noise_is_unsupported():
    with pytest.raises(
        UnsupportedProblemError, match=r"draws noise \(.*\) with a generator that other libraries"
    ):
        step_functions(NUMPY, problem_of("lstm+zoneout"), np.float64)


def test_operation_without_a_row_is_unsupported(monkeypatch):
    monkeypatch.delitem(ELEMENTWISE, "tanh")
    with pytest.raises(
        UnsupportedProblemError, match="cell 'lstm' uses the operation tanh, which has no row"
    ):
        step_functions(NUMPY, problem_of("lstm"), np.float64)


# ---- PyTorch and JAX -----------------------------------------------------------------------------------


def check_variants(problem, variants):
    loss, gradients = results_of_zoo(problem)
    scale = max(1.0, math.sqrt(sum(np.sum(gradient**2) for gradient in gradients.values())))
    for variant in variants:
        loss_of_peer, _ = variant.check()
        assert loss_of_peer == pytest.approx(loss, rel=1e-9), variant.name
        of_peer = variant.gradients()
        assert of_peer.keys() == gradients.keys()
        for name, gradient in gradients.items():
            np.testing.assert_allclose(
                np.asarray(of_peer[name]),
                gradient,
                rtol=0,
                atol=1e-9 * scale,
                err_msg=f"{variant.name} {name}",
            )


@pytest.mark.parametrize("kind", ["tokens", "dense"])
@pytest.mark.parametrize(
    "cell", [*SAMPLE, "adlif", "gsa", "exp_rnn", "slstm", "ltc", "skip_lstm", "prenorm(gru)"]
)
def test_torch_computes_the_loss_and_all_gradients(cell, kind):
    pytest.importorskip("torch", reason="needs the extra `torch`")
    peer = importlib.import_module("zoo.bench.peers.torch_eager")
    check_variants(problem_of(cell, kind), peer.build(problem_of(cell, kind)))


@pytest.fixture
def x64():
    """JAX with float64, as long as the test runs."""
    jax = pytest.importorskip("jax", reason="needs the extra `jax`")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.mark.parametrize("cell", SAMPLE)
def test_jax_computes_the_loss_and_all_gradients(cell, x64):
    peer = importlib.import_module("zoo.bench.peers.jax")
    check_variants(problem_of(cell), peer.build(problem_of(cell))[:2])
