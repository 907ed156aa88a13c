"""The block of S5 and the LRU by the authors' layer, and by a published one of the LRU, in JAX."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import torch
from block_references import _parts as parts
from flax import linen
from official import official

Tensors = dict[str, torch.Tensor]
Arrays = dict[str, jax.Array]
S5: dict[str, Any] = {"order": 8, "blocks": 2, "dt_min": 0.01, "dt_max": 0.5}
RING: dict[str, Any] = {"r_min": 0.2, "r_max": 0.9, "max_phase": 3.0}
CASES: dict[str, dict[str, Any]] = {
    "glu(vanilla)": {},
    "glu(s5)": S5,
    "glu(s5)_empty": S5,
    "glu(lru)": RING,
    "glu(lru)_empty": RING,
}
# MIT licence.
AUTHORS = ("lindermanlab/S5", "3c18fdb6b06414da35e77b94b9cd855f6a95ef17")
LRU = ("NicolasZucchet/minimal-LRU", "bbd71b1104c399ec0d13819527d791949e66f599", "lru/model.py")
TOOLS: dict[str, Any] = {"nn": linen, "jax": jax, "partial": partial}
# The first element of the scan also holds the first state, one step later. luchris429/popjaxrl on GitHub
# prepends an element instead, with equal results.
STATES_OF_S5 = {
    "(lambda u: B_bar @ u)(input_sequence)": "(lambda u: B_bar @ u)(input_sequence)"
    ".at[0].add(Lambda_bar * memory['first'])",
    "_, xs = jax.lax.associative_scan(binary_operator, (Lambda_elements, Bu_elements))": "_, xs = "
    "jax.lax.associative_scan(binary_operator, (Lambda_elements, Bu_elements)); memory['last'] = xs[-1]",
}
STATES_OF_LRU = {
    "(lambda u: B_norm @ u)(inputs)": "(lambda u: B_norm @ u)(inputs)"
    ".at[0].add(diag_lambda * memory['first'])",
    "(binary_operator_diag, (Lambda_elements, Bu_elements))": "(binary_operator_diag, (Lambda_elements, "
    "Bu_elements)); memory['last'] = hidden_states[-1]",
}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Shorter steps, in which poles that grow do not outgrow all else."""
    if "log_dt" in p:
        p["log_dt"] -= 1


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``SequenceLayer`` around ``S5SSM``, the LRU or the tanh network, one sequence at a time.

    ``S5SSM`` and ``LRU`` start from zero and return no states. From states of zero they run as they are, and
    else with edits that add the first state and return the last one. D is a matrix here, and a diagonal
    there.
    """
    jax.config.update("jax_enable_x64", True)
    x = parts.project(p, x)
    own = {name: value for name, value in p.items() if name not in ("block_Wi", "block_bi")}
    [(state_name, first)] = state.items()
    is_empty = not first.any()
    function = layer_of_lru(options, is_empty) if "poles" in p else layer_of_s5(options, is_empty)
    names, values = list(own), list(own.values())
    rows = [
        FromJax.apply(partial(function, names), sequence, h, *values)
        for sequence, h in zip(x.unbind(1), first, strict=True)
    ]
    y, last = (
        torch.stack(each, dim=axis) for each, axis in zip(zip(*rows, strict=True), (1, 0), strict=True)
    )
    return y, {} if is_empty else {state_name: last}


class FromJax(torch.autograd.Function):
    """A function of JAX with several results, with its gradients."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Any], *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        arrays = (jax.numpy.asarray(tensor.detach().numpy()) for tensor in tensors)
        results, ctx.vjp = jax.vjp(function, *arrays)
        return tuple(torch.from_numpy(np.array(each)) for each in results)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        arrays = tuple(jax.numpy.asarray(each.numpy()) for each in gradients)
        return None, *(torch.from_numpy(np.array(each)) for each in ctx.vjp(arrays))


def outer(p: Arrays) -> dict[str, Any]:
    """Parameters of the gated linear unit by their official names."""
    return {
        "out1": {"kernel": p["block_Wv"], "bias": p["block_bv"]},
        "out2": {"kernel": p["block_Wg"], "bias": p["block_bg"]},
    }


def norm(p: Arrays) -> dict[str, jax.Array]:
    return {"scale": p["block_gain"], "bias": p["block_shift"]}


def planes(memory: dict[str, jax.Array], h: jax.Array) -> jax.Array:
    """Return the last state as two planes, or the first one if there is none."""
    return jax.numpy.stack([memory["last"].real, memory["last"].imag]) if "last" in memory else h


def layer_of_s5(options: dict[str, Any], is_empty: bool) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """Return the layer as a function of names, an input, a first state and parameters."""
    Layer = official(*AUTHORS, "s5/layers.py", "SequenceLayer", **TOOLS)

    def function(
        names: list[str], x: jax.Array, h: jax.Array, *values: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        p, memory = dict(zip(names, values, strict=True)), {"first": h}
        if "Whh" in p:
            unit = partial(tanh_unit, p, memory)
        else:
            memory["first"] = h[0] + 1j * h[1]
            unit = s5(options, len(p["block_gain"]), memory, {} if is_empty else STATES_OF_S5)
        layer = Layer(unit, 0.0, x.shape[-1], "full_glu", training=False, prenorm=True)
        inner = {} if "Whh" in p else {"seq": parameters_of_s5(p)}
        y = layer.apply({"params": outer(p) | {"norm": norm(p)} | inner}, x)
        return y, memory["last"] if "Whh" in p else planes(memory, h)

    return function


def tanh_unit(p: Arrays, memory: Arrays, **_: Any) -> Callable[[jax.Array], jax.Array]:
    """Return the tanh network as a unit of the layer."""
    return partial(network, p, memory)


def network(p: Arrays, memory: Arrays, u: jax.Array) -> jax.Array:
    """The tanh network, which reads its first state and stores its last one."""
    h, outputs = memory["first"], []
    for each in u:
        h = jax.numpy.tanh(each @ p["Wxh"] + h @ p["Whh"] + p["bh"])
        outputs.append(h)
    memory["last"] = h
    return jax.numpy.stack(outputs)


def s5(options: dict[str, Any], width: int, memory: Arrays, states: dict[str, str]) -> Any:
    """Return ``S5SSM`` with its settings. Its initial values have the shapes of its parameters, no more."""
    edits = {"self.D * u": "u @ self.D", "(stddev=1.0), (self.H,)": "(stddev=1.0), (self.H, self.H)"}
    edits |= states
    names = ("S5SSM", "apply_ssm", "binary_operator", "discretize_zoh")
    initial = {"lecun_normal": jax.nn.initializers.lecun_normal, "normal": jax.nn.initializers.normal}
    random = {"np": jax.numpy, "random": jax.random}
    start = ("init_VinvB", "init_log_steps", "log_step_initializer")
    initial |= dict(zip(start, official(*AUTHORS, "s5/ssm_init.py", *start, **random), strict=True))
    tools = TOOLS | {"np": jax.numpy, "edits": edits, "memory": memory} | initial
    module, apply, operator, _ = official(*AUTHORS, "s5/ssm.py", *names, **tools)
    apply.__globals__["binary_operator"] = jax.vmap(operator)
    half = options["order"] // 2
    poles, vectors = np.zeros(half), np.zeros((half, 2 * half))
    return partial(
        module,
        poles,
        poles,
        vectors.T,
        vectors,
        H=width,
        P=half,
        C_init="complex_normal",
        discretization="zoh",
        dt_min=options["dt_min"],
        dt_max=options["dt_max"],
        clip_eigs=options["clip"],
    )


def parameters_of_s5(p: Arrays) -> dict[str, jax.Array]:
    """Parameters of ``S5SSM`` by their official names."""
    poles = {"Lambda_re": p["A"][0], "Lambda_im": p["A"][1], "log_step": p["log_dt"][:, None]}
    return poles | {"B": p["B"].transpose(2, 1, 0), "C": p["C"].transpose(2, 1, 0), "D": p["D"]}


def layer_of_lru(options: dict[str, Any], is_empty: bool) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """Return the layer as a function of names, an input, a first state and parameters."""
    edits = {"self.D * x": "x @ self.D", "matrix_init, (self.d_model,))": "matrix_init, (self.d_model,) * 2)"}
    edits |= {} if is_empty else STATES_OF_LRU
    names = ("SequenceLayer", "LRU", "binary_operator_diag", "matrix_init", "nu_init", "theta_init")
    tools = TOOLS | {"jnp": jax.numpy, "parallel_scan": jax.lax.associative_scan, "edits": edits}
    memory: Arrays = {}
    Layer, unit, operator, *_ = official(*LRU, *names, "gamma_log_init", memory=memory, **tools)
    unit.__call__.__globals__["binary_operator_diag"] = jax.vmap(operator)

    def function(
        names: list[str], x: jax.Array, h: jax.Array, *values: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        p, width = dict(zip(names, values, strict=True)), x.shape[-1]
        memory["first"] = h[0] + 1j * h[1]
        layer = Layer(partial(unit, width, width), width, prenorm=True, training=False)
        inner = dict(zip(("nu_log", "theta_log", "gamma_log"), p["poles"], strict=True)) | {"D": p["D"]}
        for name in "BC":
            inner |= {f"{name}_re": p[name][0].T, f"{name}_im": p[name][1].T}
        y = layer.apply({"params": outer(p) | {"normalization": norm(p), "seq": inner}}, x)
        return y, planes(memory, h)

    return function
