"""JAX: a ``lax.scan`` over the equations, compiled by XLA."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from zoo.bench.peers.problem import EQUATIONS, Functions, Problem, Variant, norm

jax: Any = importlib.import_module("jax")
jnp: Any = importlib.import_module("jax.numpy")
Array = Any

CELLS = tuple(EQUATIONS)
_FUNCTIONS = Functions(jnp.tanh, jax.nn.sigmoid, lambda a, parts: jnp.split(a, parts, axis=1))


def build(problem: Problem) -> list[Variant]:
    """The step with dense inputs, or for tokens with rows of the input matrix and with one-hot products."""
    jax.config.update("jax_enable_x64", problem.dtype == "float64")
    if problem.is_dense:
        return [_variant(problem, "dense", lambda inputs, weight: inputs @ weight)]
    return [
        _variant(problem, "rows", lambda tokens, weight: weight[tokens]),
        _variant(problem, "one-hot", _one_hot_product),
    ]


def _one_hot_product(tokens: Array, weight: Array) -> Array:
    return jax.nn.one_hot(tokens, weight.shape[0], dtype=weight.dtype) @ weight


def _variant(problem: Problem, name: str, project: Callable[[Array, Array], Array]) -> Variant:
    params = {key: jnp.asarray(value) for key, value in problem.params.items()}
    inputs, targets = jnp.asarray(problem.inputs), jnp.asarray(problem.targets)
    step = jax.jit(jax.value_and_grad(lambda *arguments: _loss(problem, project, *arguments)))

    def run() -> Any:
        return jax.block_until_ready(step(params, inputs, targets))

    def check() -> tuple[float, float]:
        loss, gradient = run()
        return float(loss), norm(gradient[EQUATIONS[problem.cell].weight])

    return Variant(name, run, check)


def _loss(
    problem: Problem, project: Callable[[Array, Array], Array], params: Any, inputs: Array, targets: Array
) -> Array:
    equations = EQUATIONS[problem.cell]
    a = project(inputs, params[equations.weight]) + params[equations.bias]

    def step(states: Any, a: Array) -> Any:
        states = equations.step(_FUNCTIONS, params, problem.options, a, *states)
        return states, states[0]

    first = (jnp.zeros((inputs.shape[1], problem.hidden), a.dtype),) * equations.states
    _, y = jax.lax.scan(step, first, a)
    scores = jax.nn.log_softmax(y @ params["Why"] + params["by"])
    picked = jax.nn.one_hot(targets, problem.symbols, dtype=a.dtype)  # faster than indexing
    return -jnp.sum(scores * picked) / targets.size
