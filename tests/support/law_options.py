"""The options and the input type with which the laws compile each shipped cell.

Compiling the kernels of a cell takes two to nine seconds of a processor. Tests that need compiled kernels of
many cells use these, so that each cell is compiled once.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import zoo
from zoo.testing import laws
from zoo.testing.trials import DENSE64, FLOAT64, TOKENS32, TOKENS64, InputKind

PLAIN_KINDS = (DENSE64, TOKENS32)

# Laws in plain Python take minutes with the default sizes of the first group. With the defaults of the second
# group, one head and one step, no kernel would have loops over heads and steps.
LAW_OPTIONS: dict[str, dict[str, Any]] = {
    "cfc": {"units": 8},
    "log_linear_attention": {"expand": 1, "heads": 2, "order": 2, "levels": 3},
    "ltc": {"unfolds": 2},
    "mamba": {"order": 2, "rank": 1},
    "longhorn": {"order": 2, "rank": 1},
    "mamba2": {"heads": 2, "order": 2},
    "mamba3": {"heads": 2, "order": 4},
    "deep_esn": {"layers": 2},
    "retnet": {"heads": 2},
    "rodimus": {"order": 2, "rank": 1},
    "shallow_plrnn": {"units": 7},
    "s4d": {"order": 4},
    "s5": {"order": 4, "blocks": 2},
    #
    "abc": {"heads": 2, "slots": 2},
    "based": {"heads": 2, "rank": 2},
    "comba": {"heads": 2},
    "delta_net": {"heads": 2},
    "gated_delta_net": {"heads": 2},
    "gated_delta_net2": {"heads": 2},
    "gated_delta_product": {"heads": 2},
    "gla": {"heads": 3, "rank": 2},
    "gru_ode": {"steps": 2},
    "gsa": {"heads": 2, "slots": 2},
    "hgrn2": {"heads": 2},
    "kalman_delta": {"heads": 2},
    "kda": {"heads": 2},
    "matrix_lstm": {"heads": 2},
    "m2rnn": {"heads": 2},
    "lightnet": {"heads": 2, "rank": 2},
    "linear_attention": {"heads": 2},
    "mesa_net": {"heads": 2, "iterations": 1},
    "momentum_delta_net": {"heads": 2},
    "precond_gated_delta_net": {"heads": 2},
    "precond_kda": {"heads": 2},
    "raven": {"heads": 2, "slots": 3, "top": 2},
    "rebased": {"heads": 2, "rank": 2},
    "rg_lru": {"heads": 3},
    "rwkv5": {"heads": 2},
    "rwkv6": {"heads": 2, "rank": 2, "decay_rank": 2},
    "rwkv7": {"heads": 2, "rank": 2},
    "slice": {"block": 2},
    "slstm": {"heads": 2},
    "srwm": {"heads": 2},
    "titans": {"heads": 2},
    "ttt_linear": {"heads": 2},
}

# The shipped cells that the laws compile, at 2 to 16 s of a processor for each. Their kernels and the kernels
# that tests/compiler compiles have all forms of statements that occur in kernels of shipped cells (see
# kernel_forms), and a test checks it. Of all sets with this property, this one has nearly the shortest
# source: mamba and exp_rnn are here instead of s4d and a case of the tests. The laws run the kernels of the
# other cells as plain Python. `zoo check NAME` compiles them. Third-party cells are compiled. When shipped
# cells had nearly all forms, there were 19 of them, and compiling took more than twice as long.
COMPILED_CELLS = frozenset({"lstm", "clockwork", "deep_esn", "exp_rnn", "mamba", "nvar", "retnet", "slice"})


def is_compiled(cell: zoo.Cell) -> bool:
    """Whether the laws compile the kernels of a cell that zoo derives."""
    return cell.name in COMPILED_CELLS or not type(cell).__module__.startswith("zoo_cells.")


def law_cell(name: str) -> zoo.Cell:
    """Return the cell whose kernels the laws compile."""
    return zoo.get_cell(name, **LAW_OPTIONS.get(name, {}))


def compiled_kind(name: str) -> InputKind:
    """Return the dtype, and dense inputs or tokens, for which the laws compile a cell.

    A quarter of the cells are compiled for what models of text are trained on, float32 and tokens, the others
    for dense inputs in float64, as the golden values are. A checksum of the name selects.
    """
    return TOKENS32 if zlib.crc32(name.encode()) % 4 == 0 else DENSE64


# Kinds of input for the laws in plain Python, which runs the same code for both dtypes. Laws that see a wrong
# equation take dense inputs and tokens, in both dtypes.
LAWS_OF_TWO_KINDS = dict.fromkeys((laws.check_shapes, laws.check_split, laws.check_step_agrees), PLAIN_KINDS)
# The others take one kind for a cell, and another one for about half of the cells.
LAWS_OF_ONE_KIND = {
    **dict.fromkeys(
        (
            *(laws.check_empty_sequence, laws.check_inputs_unchanged, laws.check_results_are_new),
            *(laws.check_deterministic, laws.check_tape_reusable, laws.check_needs_dx, laws.check_two_tapes),
            *(laws.check_threads, laws.check_rows_independent, laws.check_rows_permute, laws.check_nan),
        ),
        PLAIN_KINDS,
    ),
    # Another law compares the derivative in the direction of all variables for dense inputs and for tokens.
    **dict.fromkeys(
        (laws.check_parameter_gradients, laws.check_state_gradient, laws.check_vjp_linear), FLOAT64
    ),
    **dict.fromkeys((laws.check_tokens, laws.check_softmax, laws.check_save_load), (TOKENS64, TOKENS32)),
}


def plain_kinds(law: Callable[..., None], name: str) -> dict[str, tuple[InputKind, ...]]:
    """Return the argument ``kinds`` of a law for a cell in plain Python; empty for the default of the law."""
    if kinds := LAWS_OF_TWO_KINDS.get(law):
        return {"kinds": kinds}
    if kinds := LAWS_OF_ONE_KIND.get(law):
        return {"kinds": (kinds[zlib.crc32(f"{law.__name__} {name}".encode()) % len(kinds)],)}
    return {}
