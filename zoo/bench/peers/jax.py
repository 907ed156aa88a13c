"""JAX: a ``lax.scan`` over the equations, compiled by XLA.

The equations of a few cells are written by hand. Other cells have code made from their ``step``.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from zoo.bench.peers.problem import (
    EQUATIONS,
    Functions,
    Problem,
    UnsupportedProblemError,
    Variant,
    norm,
    stream_variant,
)

jax: Any = importlib.import_module("jax")
jnp: Any = importlib.import_module("jax.numpy")
Array = Any

_FUNCTIONS = Functions(jnp.tanh, jax.nn.sigmoid, lambda a, parts: jnp.split(a, parts, axis=1))


def build(problem: Problem) -> list[Variant]:
    """The step with dense inputs, or for tokens with rows of the input matrix and with one-hot products."""
    jax.config.update("jax_enable_x64", problem.dtype == "float64")
    if problem.cell not in EQUATIONS:
        return _derived_variants(problem)
    weights = [EQUATIONS[problem.cell].weight]
    if problem.is_dense:
        projections = {"dense": lambda inputs, weight: inputs @ weight}
    else:
        projections = {"rows": lambda tokens, weight: weight[tokens], "one-hot": _one_hot_product}
    return [
        _variant(problem, name, functools.partial(_recur, problem, project), weights)
        for name, project in projections.items()
    ]


def stream(problem: Problem) -> list[Variant]:
    """A compiled step of the equations written by hand, which ends before the next one begins."""
    if problem.cell not in EQUATIONS:
        raise UnsupportedProblemError("its equations are not written by hand")
    jax.config.update("jax_enable_x64", problem.dtype == "float64")
    equations = EQUATIONS[problem.cell]
    params = {key: jnp.asarray(value) for key, value in problem.params.items()}
    shape = problem.targets.shape[1], problem.hidden
    first = (jnp.zeros(shape, problem.dtype),) * equations.states
    inputs = list(problem.inputs)

    def step(params: Mapping[str, Array], states: Any, x: Array) -> Any:
        weight = params[equations.weight]
        a = (x @ weight if problem.is_dense else weight[x]) + params[equations.bias]
        return equations.step(_FUNCTIONS, params, problem.options, a, *states)

    compiled = jax.jit(step)

    def run() -> list[Array]:
        outputs, states = [], first
        for x in inputs:
            states = compiled(params, states, x)
            outputs.append(jax.block_until_ready(states[0]))
        return outputs

    return [stream_variant("step", run, problem.dy)]


def _one_hot_product(tokens: Array, weight: Array) -> Array:
    return jax.nn.one_hot(tokens, weight.shape[0], dtype=weight.dtype) @ weight


def _recur(
    problem: Problem, project: Callable[[Array, Array], Array], params: Mapping[str, Array], inputs: Array
) -> Array:
    """Outputs ``(T, B, H)`` by the equations written by hand."""
    equations = EQUATIONS[problem.cell]
    a = project(inputs, params[equations.weight]) + params[equations.bias]

    def step(states: Any, a: Array) -> Any:
        states = equations.step(_FUNCTIONS, params, problem.options, a, *states)
        return states, states[0]

    first = (jnp.zeros((inputs.shape[1], problem.hidden), a.dtype),) * equations.states
    _, y = jax.lax.scan(step, first, a)
    return y


def _derived_variants(problem: Problem) -> list[Variant]:
    """The variants of the code that zoo writes from the ``step`` of the cell."""
    from zoo.bench.peers.step_functions import default_inputs, step_functions
    from zoo.bench.peers.step_library import Library
    from zoo.bench.peers.zoo import input_weights
    from zoo.registry import resolve_cell

    functions = {
        "jnp": jnp,
        "sigmoid": jax.nn.sigmoid,
        "silu": jax.nn.silu,
        "log_sigmoid": jax.nn.log_sigmoid,
        "softplus": jax.nn.softplus,
        "erf": jax.lax.erf,
        "stop_gradient": jax.lax.stop_gradient,
        "with_derivative": _with_derivative,
        "expm": importlib.import_module("jax.scipy.linalg").expm,
        "one_hot": lambda tokens, count, dtype: jax.nn.one_hot(tokens, count, dtype=dtype),
        "rows": lambda tokens, matrix: matrix[tokens],
    }
    cell = resolve_cell(problem.cell, **problem.options)
    has_matrix = any(len(state.shape) > 1 for state in cell.states.values())
    weights = input_weights(cell)
    buffers = {name: jnp.asarray(value) for name, value in problem.buffers.items()}
    aux = {name: jnp.asarray(value) for name, value in default_inputs(problem).items()}

    def recur(
        forward: Callable[..., Array], scan: Callable[..., Any], params: Mapping[str, Array], inputs: Array
    ) -> Array:
        return forward({**params, **buffers}, inputs, aux, scan)

    variants, forms = [], step_functions(Library("jnp", functions), problem, jnp.dtype(problem.dtype))
    small = {function.variant for function in forms if not function.variant.stores_large}
    for function in forms:
        name, forward = function.variant.name, function.forward
        variants.append(_variant(problem, name, functools.partial(recur, forward, _scan), weights))
        if has_matrix and replace(function.variant, stores_large=False) not in small - {function.variant}:
            # A loop without outer products that were computed before it; this takes 0.8 of the time.
            run = functools.partial(recur, forward, _scan_recomputed)
            variants.append(_variant(problem, f"{name}, checkpoint", run, weights))
    return variants


def _with_derivative(value: Array, x: Array, slope: Array) -> Array:
    """The usual straight-through estimator."""
    fixed = jax.lax.stop_gradient
    return fixed(value) + (x - fixed(x)) * fixed(slope)


def _scan(step: Callable[..., Any], states: Any, sequences: Any) -> Any:
    return jax.lax.scan(step, states, sequences)[1]


def _scan_recomputed(step: Callable[..., Any], states: Any, sequences: Any) -> Any:
    """The loop, whose backward pass recomputes each step."""
    return jax.lax.scan(jax.checkpoint(step), states, sequences)[1]


def _variant(
    problem: Problem, name: str, recur: Callable[[Mapping[str, Array], Array], Array], weights: list[str]
) -> Variant:
    params = {key: jnp.asarray(value) for key, value in problem.params.items()}
    inputs, targets = jnp.asarray(problem.inputs), jnp.asarray(problem.targets)

    def loss_of(params: Mapping[str, Array], inputs: Array, targets: Array) -> Array:
        y = recur(params, inputs)
        if problem.dy is not None:
            return jnp.vdot(y, problem.dy)
        scores = jax.nn.log_softmax(y @ params["Why"] + params["by"])
        picked = jax.nn.one_hot(targets, problem.symbols, dtype=scores.dtype)  # faster than indexing
        return -jnp.sum(scores * picked) / targets.size

    step = jax.jit(jax.value_and_grad(loss_of))
    last: dict[str, Any] = {}

    def run() -> Any:
        return jax.block_until_ready(step(params, inputs, targets))

    def check() -> tuple[float, float]:
        loss, gradient = run()
        last.update(gradient)
        return float(loss), norm(*(gradient[weight] for weight in weights))

    return Variant(name, run, check, lambda: last)
