"""Cells that are wrong in one way each, for the conformance kit to catch.

All are small changes to ``Tiny``, a correct tanh cell in plain NumPy, which needs no compiler. A change wraps
one of its two kernels, so that what is wrong stands alone.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from zoo_cells.classic import vanilla

import zoo

# --- The correct cell ---


def forward(params, x, state):
    return recur(params, x, state, np.tanh)


def recur(params, x, state, tanh):
    W, U, b = params
    (h,) = state
    y = np.empty((*x.shape[:2], len(b)), W.dtype)
    for t in range(len(x)):
        h = tanh((W[x[t]] if x.ndim == 2 else x[t] @ W) + h @ U + b)
        y[t] = h
    return y, (h.copy(),), (y.copy(),)


def backward(params, x, state, tape, dy, dlast):
    W, U, b = params
    (h0,), (y,), (dh,) = state, tape, dlast
    dx = np.zeros((0, 0, 0) if x.ndim == 2 else x.shape, W.dtype)
    dW, dU, db = np.zeros_like(W), np.zeros_like(U), np.zeros_like(b)
    for t in range(len(x) - 1, -1, -1):
        da = (dh + dy[t]) * (1 - y[t] ** 2)
        dh = da @ U.T
        db += da.sum(axis=0)
        dU += (y[t - 1] if t else h0).T @ da
        if x.ndim == 2:
            np.add.at(dW, x[t], da)
        else:
            dW += x[t].T @ da
            dx[t] = da @ W.T
    return dx, (dh.copy(),), (dW, dU, db)


class Tiny(zoo.Cell):
    """A correct cell, ``h' = tanh(x W + h U + b)``."""

    card = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")
    W = zoo.Param("I", "H", init="glorot_uniform", help="input to hidden")
    U = zoo.Param("H", "H", init="orthogonal", help="hidden to hidden")
    b = zoo.Param("H", help="bias")
    h = zoo.State("H", help="hidden units")
    forward = forward
    backward = backward


# --- Two ways to change it ---


def then_change(change):
    """The forward kernel with its output and last state changed."""

    def changed(params, x, state):
        y, (last,), tape = forward(params, x, state)
        y, last = change(y, last)
        return y, (last,), tape

    return changed


def then_change_gradients(change):
    """The backward kernel with its results changed: the gradients of input, states and parameters."""

    def changed(params, x, state, tape, dy, dlast):
        return change(*backward(params, x, state, tape, dy, dlast))

    return changed


# --- The record ---


class Wordless(Tiny):
    """..."""


class Unexplained(Tiny):
    """A parameter that nobody explains."""

    card = Tiny.card
    b = zoo.Param("H")


class Miscounted(Tiny):
    """Forgets its biases when it counts."""

    def parameter_count(self, input_size, hidden_size):
        return (input_size + hidden_size) * hidden_size


class Unseeded(Tiny):
    """Starts from a generator of its own."""

    W = zoo.Param(
        "I", "H", init=lambda rng, shape: np.random.default_rng().normal(size=shape), help="input to hidden"
    )


# --- What kernels hand back ---


class Misshapen(Tiny):
    """The gradient of a vector is a row."""

    backward = then_change_gradients(lambda dx, dstate, d: (dx, dstate, (d[0], d[1], d[2][None])))


class Forgetful(Tiny):
    """An empty sequence clears the state."""

    forward = then_change(lambda y, last: (y, last if len(y) else 0 * last))


def hand_back_state(params, x, state):
    y, last, tape = forward(params, x, state)
    return y, last if len(x) else state, tape


class Aliased(Tiny):
    """Hands back the very array it was given."""

    forward = hand_back_state


# --- Purity ---


def advance_in_place(params, x, state):
    y, last, tape = forward(params, x, (state[0].copy(),))
    state[0][:] = last[0]
    return y, last, tape


class InPlace(Tiny):
    """Advances the caller's state."""

    forward = advance_in_place


def rounding_noise(y):
    return np.random.default_rng().random(y.shape, y.dtype)


class Noisy(Tiny):
    """Its last bits come from a generator that nobody seeded."""

    forward = then_change(lambda y, last: (y + 9 * np.finfo(y.dtype).eps * rounding_noise(y), last))


def consume_tape(params, x, state, tape, dy, dlast):
    results = backward(params, x, state, tape, dy, dlast)
    tape[0][:] = 0
    return results


class TapeEater(Tiny):
    """Uses its tape as a scratch buffer."""

    backward = consume_tape


def backward_without_all(params, x, state, tape, dy, dlast, needs_dx):
    dx, dstate, (dW, dU, db) = backward(params, x, state, tape, dy, dlast)
    return dx, dstate, (dW, dU * needs_dx, db)


class Lazy(Tiny):
    """Omits more than the gradient of the input if that is not needed."""

    backward = backward_without_all


LATEST: dict[str, Any] = {}


def remember(params, x, state):
    y, last, tape = forward(params, x, state)
    LATEST["tape"] = tape
    return y, last, tape


def recall(params, x, state, tape, dy, dlast):
    return backward(params, x, state, LATEST["tape"], dy, dlast)


class OneTape(Tiny):
    """Use the tape of the latest forward pass in every backward pass."""

    forward = remember
    backward = recall


def in_main_thread():
    return threading.current_thread() is threading.main_thread()


class ThreadBound(Tiny):
    """Computes something else outside the main thread."""

    forward = then_change(lambda y, last: (y if in_main_thread() else y + 1, last))


# --- Gradients ---


def without_first_state(params, x, state, tape, dy, dlast):
    dx, dstate, _ = backward(params, x, state, tape, dy, dlast)
    return dx, dstate, backward(params, x, (0 * state[0],), tape, dy, dlast)[2]


class ZeroStart(Tiny):
    """The gradient of ``U`` takes the first state for zero."""

    backward = without_first_state


class Doubled(Tiny):
    """The gradient of the input comes twice."""

    backward = then_change_gradients(lambda dx, dstate, d: (2 * dx, dstate, d))


def without_last_gradient(params, x, state, tape, dy, dlast):
    dx, _, dparams = backward(params, x, state, tape, dy, dlast)
    return dx, backward(params, x, state, tape, dy, (0 * dlast[0],))[1], dparams


class Truncated(Tiny):
    """The first state's gradient leaves out what comes from the last state."""

    backward = without_last_gradient


HORIZON = 6


def only_recent(params, x, state, tape, dy, dlast):
    (y,), start = tape, max(0, len(x) - HORIZON)
    dx, dstate, dparams = backward(params, x, state, tape, dy, dlast)
    if start:
        dparams = backward(params, x[start:], (y[start - 1],), (y[start:],), dy[start:], dlast)[2]
    return dx, dstate, dparams


class ShortSighted(Tiny):
    """Parameters learn from the last six steps only."""

    backward = only_recent


class Clipped(Tiny):
    """Clips its gradients."""

    backward = then_change_gradients(lambda dx, dstate, d: (dx, dstate, tuple(np.clip(g, -1, 1) for g in d)))


class Contrary(Tiny):
    """Has the sign of its gradients wrong."""

    backward = then_change_gradients(lambda dx, dstate, d: (dx, dstate, tuple(-g for g in d)))


# --- Time and batch ---


class Counting(Tiny):
    """Counts steps from where the call began."""

    forward = then_change(lambda y, last: (y + np.arange(len(y), dtype=y.dtype)[:, None, None], last))


def backward_of_centered(params, x, state, tape, dy, dlast):
    return backward(params, x, state, tape, dy - dy.mean(axis=1, keepdims=True), dlast)


class Centered(Tiny):
    """Subtracts the mean over the batch."""

    forward = then_change(lambda y, last: (y - y.mean(axis=1, keepdims=True), last))
    backward = backward_of_centered


class Numbered(Tiny):
    """Adds the place of a row in the batch."""

    forward = then_change(lambda y, last: (y + np.arange(y.shape[1], dtype=y.dtype)[:, None], last))


def shifted(x, params):
    return (x + 1) % len(params[0]) if x.ndim == 2 else x


class Shifted(Tiny):
    """Counts tokens from one."""

    @staticmethod
    def forward(params, x, state):
        return forward(params, shifted(x, params), state)

    @staticmethod
    def backward(params, x, state, tape, dy, dlast):
        return backward(params, shifted(x, params), state, tape, dy, dlast)


class Crowded(Tiny):
    """Is the louder, the more rows there are in a call."""

    forward = then_change(lambda y, last: (y * y.dtype.type(y.shape[1]), last))


# --- Numbers ---


class Coarse(Tiny):
    """Keeps three digits in float32."""

    forward = then_change(lambda y, last: (np.round(y, 3) if y.dtype == np.float32 else y, last))


def from_exponentials(params, x, state):
    return recur(params, x, state, lambda a: (np.exp(2 * a) - 1) / (np.exp(2 * a) + 1))


class Overflowing(Tiny):
    """Divides one exponential by another, both infinite for large inputs."""

    forward = from_exponentials


class Swallowing(Tiny):
    """Replaces NaN by zero."""

    forward = then_change(lambda y, last: (np.nan_to_num(y), np.nan_to_num(last)))


class Immense(Tiny):
    """Has outputs at the end of float32's range."""

    forward = then_change(lambda y, last: (y * y.dtype.type(1e38), last))


# --- Compiler and model ---


class Contradicting(Tiny):
    """Subtracts its bias in its step, where its kernels add it."""

    def step(self, x, h):
        return np.tanh(x @ self.W + h @ self.U - self.b)


def halved(params, x, state):
    y, last, tape = vanilla.forward.py_func(params, x, state)
    return y / 2, last, tape


class TwoFaced(vanilla.Vanilla):
    """Computes something else when Numba is switched off."""

    forward = zoo.njit(python_fallback=halved)(vanilla.forward.py_func)


@zoo.njit
def count_up(params, x, state):
    (h,) = state
    y = np.ones((x.shape[0], h.shape[0], h.shape[1]), h.dtype)
    return y, (h.copy(),), (y[::-1],)


@zoo.njit
def count_down(params, x, state, tape, dy, dlast):
    W, U, b = params
    shape = (0, 0, 0) if x.ndim == 2 else (x.shape[0], x.shape[1], W.shape[0])
    return (
        np.zeros(shape, W.dtype),
        (dlast[0].copy(),),
        (np.zeros_like(W), np.zeros_like(U), np.zeros_like(b)),
    )


class Recompiling(Tiny):
    """The memory layout of its tape depends on the sizes."""

    forward = count_up
    backward = count_down


MADE: list[Any] = []


class Moody(Tiny):
    """Depends on how many of its kind there are."""

    def __init__(self, **options):
        super().__init__(**options)
        MADE.append(self.options)

    @staticmethod
    def forward(params, x, state):
        y, last, tape = forward(params, x, state)
        return y + len(MADE), last, tape


# --- Beyond small sizes: each is right for four units, four steps, three rows and three symbols ---


class Stated(Tiny):
    """The correct cell, with equations and kernels."""

    def step(self, x, h):
        return np.tanh(x @ self.W + h @ self.U + self.b)


def masked(masks, known=lambda x: x, block=10**6):
    """Both kernels with parts of a pre-activation left out, in either pass alike.

    Args:
        masks: From x and the states ``(B, H)`` to what the recurrent product and the bias are multiplied by.
        known: From x to the x that is read.
        block: Steps of a block of the backward pass, at whose start the gradient of the state is lost.
    """

    def masked_forward(params, x, state):
        (W, U, b), (h,), x = params, state, known(x)
        recurrent, bias = masks(x, h)
        y = np.empty((*x.shape[:2], len(b)), W.dtype)
        for t in range(len(x)):
            y[t] = h = np.tanh((W[x[t]] if x.ndim == 2 else x[t] @ W) + (h @ U) * recurrent + b * bias)
        return y, (h.copy(),), (y.copy(),)

    def masked_backward(params, x, state, tape, dy, dlast):
        (W, U, b), (h0,), (y,), (dh,), x = params, state, tape, dlast, known(x)
        recurrent, bias = masks(x, h0)
        dx = np.zeros((0, 0, 0) if x.ndim == 2 else x.shape, W.dtype)
        dW, dU, db = np.zeros_like(W), np.zeros_like(U), np.zeros_like(b)
        for t in range(len(x) - 1, -1, -1):
            da = (dh + dy[t]) * (1 - y[t] ** 2)
            dh = (da * recurrent) @ U.T * (t % block != 0 or t == 0)
            db += (da * bias).sum(axis=0)
            dU += (y[t - 1] if t else h0).T @ (da * recurrent)
            if x.ndim == 2:
                np.add.at(dW, x[t], da)
            else:
                dW += x[t].T @ da
                dx[t] = da @ W.T
        return dx, (dh.copy(),), (dW, dU, db)

    return {"forward": staticmethod(masked_forward), "backward": staticmethod(masked_backward)}


def ones(x, h):
    return np.ones_like(h), np.ones_like(h)


def below(size, count, h):
    """One for the first of so many, zero for the others."""
    return (np.arange(size) < count).astype(h.dtype)


def only_16_biases(x, h):
    return np.ones_like(h), below(h.shape[1], 16, h)


def only_full_vectors(x, h):
    size = h.shape[1]
    return below(size, size if size < 8 else size - size % 8, h), np.ones_like(h)


def only_8_rows(x, h):
    return below(len(h), 8, h)[:, None] * np.ones_like(h), np.ones_like(h)


def only_16_biases_in_float32(x, h):
    return only_16_biases(x, h) if h.dtype == np.float32 else ones(x, h)


def only_16_symbols(x):
    return x % 16 if x.ndim == 2 else x


LARGE = {
    "back-propagation through time is cut at every eighth step": masked(ones, block=8),
    "the bias of the units from the 17th on is dropped": masked(only_16_biases),
    "units that do not fill a vector of eight have no recurrence": masked(only_full_vectors),
    "rows from the ninth on have no recurrence": masked(only_8_rows),
    "symbols from the 17th on are read as others": masked(ones, only_16_symbols),
    "in float32 the bias of the units from the 17th on is dropped": masked(only_16_biases_in_float32),
}
"""What is wrong, and the two kernels; each pair computes the same wrong function in both passes."""


class Unstated(Tiny):
    """Loses the gradient at every eighth step, and states no equations to compare it with."""

    locals().update(LARGE["back-propagation through time is cut at every eighth step"])


# Name of the law that each breaks.
BROKEN = {
    "check_well_formed": Wordless,
    "check_help": Unexplained,
    "check_parameter_count": Miscounted,
    "check_initialisation": Unseeded,
    "check_shapes": Misshapen,
    "check_empty_sequence": Forgetful,
    "check_inputs_unchanged": InPlace,
    "check_results_are_new": Aliased,
    "check_deterministic": Noisy,
    "check_tape_reusable": TapeEater,
    "check_needs_dx": Lazy,
    "check_two_tapes": OneTape,
    "check_threads": ThreadBound,
    "check_finite": Overflowing,
    "check_parameter_gradients": ZeroStart,
    "check_input_gradient": Doubled,
    "check_state_gradient": Truncated,
    "check_directional_derivative": ShortSighted,
    "check_large_sizes": Unstated,
    "check_vjp_linear": Clipped,
    "check_split": Counting,
    "check_rows_independent": Centered,
    "check_rows_permute": Numbered,
    "check_tokens": Shifted,
    "check_lengths": Crowded,
    "check_directions": OneTape,
    "check_layers": Doubled,
    "check_float32": Coarse,
    "check_nan": Swallowing,
    "check_softmax": Immense,
    "check_step_agrees": Contradicting,
    "check_jit_equals_python": TwoFaced,
    "check_compiles_once": Recompiling,
    "check_save_load": Moody,
    "check_learns": Contrary,
}
