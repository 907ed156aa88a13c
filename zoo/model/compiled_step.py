"""What the compiled step of :mod:`zoo.model.compiled_step` is given.

The compiled step of :mod:`zoo.model.compiled_step`: a few lines that call kernel after kernel.

What they are and what types go from one kernel to the next both follow from one list of calls.

A training step without Python in between: every layer, the readout and its loss, and all the way back.

The kernels are those that :mod:`zoo.model.batch_loss` calls one after the other, by the same machine code, so
that not a bit of the result differs. For 25 symbols of one sequence Python took 45 of 114 us; and in a large
step, where its code and data have left the cache by the time a kernel ends, 0.2 ms a shard. Threads share
out the shards in compiled code too: for 16 rows of 25 symbols and 32 units, two that wait for each other in
Python took 0.27 ms, one alone 0.18, and two in compiled code 0.10.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types

from zoo.base import Cell
from zoo.compiler.cell_kernels import Passes
from zoo.compiler.codegen.module import as_tuple
from zoo.compiler.codegen.source_module import load_source
from zoo.kernels.jit import Kernel, is_interpreted
from zoo.kernels.kernel_calls import Entry
from zoo.layers.checkpointing import cut
from zoo.layers.direction import Array, Arrays
from zoo.layers.sharding import states_of
from zoo.layers.stack import Stack, StackWeights
from zoo.layers.worker_threads import share
from zoo.model.batch_loss import Objective, Pass
from zoo.model.readout import put_steps, read_loss_grads, take_steps
from zoo.model.sampling import MOST_LAYERS

ArrayTuple = tuple[Any, ...]


class Given(NamedTuple):
    """What all shards of a step have in common.

    Args:
        weights: Of each layer its parameters and buffers.
        inputs: Tokens ``(T, B)`` or numbers ``(T, B, I)``.
        before: Of each layer the states before the first step, ``(B, ...)``.
        beside: Of each layer its inputs beside x, ``(T, B, ...)``.
        options: Values of the cell's options.
        readout: ``Why (H, V)`` and ``by (V,)``.
        targets: Those of the steps that are read, ``(N, B)`` or ``(N, B, V)``.
        counts: How much each counts, ``(N, B)``.
        places: Which steps are read, ``(N,)``; None if all are.
        binary: Whether numbers are probabilities, not values.
        scale: What the gradients are multiplied by.
        zeros: Of each layer what comes back from behind the last step, for the rows of a shard.
        widths: Of each layer the size of its output.
        rows: Rows of a shard; the last may have fewer.
        losses: Where the sums of the steps go, ``(shards, N)``.
        last: Of each layer where the states after the last step go, ``(B, ...)``.
        out: Where the gradients go: ``(shards, P)``, or ``(1, P)`` for their sum in the order of the shards.
    """

    weights: tuple[ArrayTuple, ...]
    inputs: Any
    before: tuple[ArrayTuple, ...]
    beside: tuple[ArrayTuple, ...]
    options: ArrayTuple
    readout: ArrayTuple
    targets: Any
    counts: Any
    places: Any
    binary: bool
    scale: float
    zeros: tuple[ArrayTuple, ...]
    widths: tuple[int, ...]
    rows: int
    losses: Any
    last: tuple[ArrayTuple, ...]
    out: Any


_COPYING: dict[str, Any] = {"take_steps": take_steps, "put_steps": put_steps}


class Route(NamedTuple):
    """The step for arguments of some types.

    Args:
        run: ``(gate, count, addresses, given)``.
        addresses: Where the kernels are, in the order of the calls.
    """

    run: Callable[..., bool]
    addresses: tuple[int, ...]

    def take(self, given: Given, count: int, threads: int) -> bool:
        """Do so many shards; whether no kernel raised anything, and all that they returned fits."""
        arguments = count, self.addresses, tuple(given)
        return share(lambda gate: self.run(gate, *arguments), min(threads, count))


class Place(NamedTuple):
    """A variable of the step, or a part of one that is a tuple."""

    name: str
    part: int | None = None

    def __str__(self) -> str:
        return self.name if self.part is None else f"{self.name}[{self.part}]"

    def of(self, found: dict[str, Any]) -> Any:
        """What is here, of all by name."""
        return found[self.name] if self.part is None else found[self.name][self.part]


class Call(NamedTuple):
    """A call of a kernel, by its address or, where it only copies, by its name.

    Args:
        kernel: Its name; one that copies returns what its first argument is.
        arguments: What it takes.
        results: The variables that what it returns goes to.
        wrong: When that cannot be used, where a cell's own kernel might return anything.
    """

    kernel: str
    arguments: list[Place]
    results: list[str]
    wrong: str = ""


def route(stack: Stack, given: Given) -> Route | None:
    """The step for arguments of these types.

    None if a kernel was not called from Python yet with what the one before it returns, or does not return
    C-contiguous arrays.
    """
    cell, passes = stack.cell, stack.layers[0].passes
    kernels: dict[str, Any] = {
        "forward": passes.forward,
        "read": read_loss_grads,
        "backward": passes.backward,
    }
    entries: dict[str, Any] = {name: Entry(kernel) for name, kernel in kernels.items()}
    typeof: Any = numba.typeof  # Numba's own functions are untyped
    kinds = {name: typeof(each) for name, each in given._asdict().items()}
    calls = _calls(len(stack.layers), cell, passes, reads_all=kinds["places"] == types.none)
    addresses = _addresses(calls, entries, {**kinds, "losses": typeof(given.losses[0])})
    if addresses is None:
        return None
    step = load_source(f"{cell.name}_step", "\n".join(_lines(calls, stack)), {**entries, **_COPYING}).run
    signature = (types.int64[::1], types.int64, typeof(addresses), typeof(tuple(given)))
    step.dispatcher.compile(signature)
    return Route(step.dispatcher.get_overload(signature), addresses)


def _calls(layers: int, cell: Cell, passes: Passes, reads_all: bool) -> list[Call]:
    """All calls of a step, in order."""
    y, dy = f"x_{layers}", f"dx_{layers}"
    beside = ["beside"] if cell.inputs else []
    options = [Place("options", n) for n in range(len(passes.options))]

    def seen(n: int) -> list[Place]:
        """What both passes of a layer take first."""
        x = Place("inputs") if n == 0 else Place(f"x_{n}")
        return [Place("weights", n), x, *(Place(name, n) for name in ("before", *beside))]

    def forward(n: int) -> Call:
        wrong = f"x_{n + 1}.shape != (inputs.shape[0], inputs.shape[1], widths[{n}])"
        results = [f"x_{n + 1}", f"after_{n}", f"kept_{n}"]
        return Call("forward", [*seen(n), *options], results, "" if cell.is_derived() else wrong)

    def backward(n: int) -> Call:
        wrong = f"dx_{n}.shape != x_{n}.shape"
        given = [*seen(n), Place(f"kept_{n}"), Place(f"dx_{n + 1}"), Place("zeros", n), *options]
        results = [f"dx_{n}", f"dbefore_{n}", f"gradients_{n}"]
        return Call("backward", given, results, "" if cell.is_derived() or n == 0 else wrong)

    def read(seen: str, dseen: str) -> Call:
        loss = [Place(name) for name in ("targets", "counts", "binary", "losses", "scale")]
        given = [Place(seen), Place("readout", 0), Place("readout", 1), *loss]
        return Call("read", given, [dseen, "dWhy", "dby"])

    some = [
        Call("take_steps", [Place(y), Place("places")], ["seen"]),
        read("seen", "dseen"),
        Call("put_steps", [Place("dseen"), Place("places"), Place(y)], [dy]),
    ]
    reading = [read(y, dy)] if reads_all else some
    return [*map(forward, range(layers)), *reading, *map(backward, reversed(range(layers)))]


def _addresses(calls: list[Call], entries: dict[str, Any], kinds: dict[str, Any]) -> tuple[int, ...] | None:
    """Where the code of every call is, for arguments of these types; None if that of one is not known."""
    addresses, found = [], dict(kinds)
    for kernel, arguments, results, _ in calls:
        if kernel in _COPYING:
            found[results[0]] = arguments[0].of(found)
            continue
        code = entries[kernel].find(tuple(place.of(found) for place in arguments))
        if code is None:
            return None
        addresses.append(code.address)
        found.update(zip(results, code.returns, strict=True))
    copied = [kind for name, kind in found.items() if name not in kinds and not name.startswith("kept")]
    return tuple(addresses) if all(_is_plain(kind, kinds["out"].dtype) for kind in copied) else None


def _is_plain(kind: Any, dtype: Any) -> bool:
    """Whether this is the type of a C-contiguous array of a dtype, or of tuples of such arrays."""
    if isinstance(kind, types.BaseTuple):
        parts: Any = kind  # Numba's own types are untyped
        return all(_is_plain(part, dtype) for part in parts)
    return isinstance(kind, types.Array) and kind.layout == "C" and kind.dtype == dtype


def _lines(calls: list[Call], stack: Stack) -> Iterator[str]:
    """The module of a step."""
    yield '"""A training step: every layer, the readout and its loss, and all the way back."""'
    yield from ("", "import zoo")
    yield "from zoo.kernels.kernel_calls import call"
    yield "from zoo.kernels.batch_slicing import copy_each, lay_out, own_columns, own_rows"
    yield "from zoo.kernels.threadpool import await_turn, end_turn, pieces, share_out"
    yield from ("", "", "@zoo.njit", f"def shard(number, gate, addresses, {', '.join(Given._fields)}):")
    yield '    """One shard: whether all that the kernels returned fits."""'
    yield from [f"    {line}" for line in (*_OWN_ROWS.split("\n")[1:-1], *_called(calls), *_put(stack))]
    yield from ("", "", "@zoo.njit", "def run(gate, count, addresses, given):")
    yield '    """All shards; whether all went well."""'
    yield "    code, data = pieces(shard, (gate, addresses), given)"
    yield "    return share_out(gate, count, code, data)"
    yield ""


_OWN_ROWS = """
first = number * rows
end = min(first + rows, inputs.shape[1])
inputs = own_columns(inputs, first, end)
beside = own_columns(beside, first, end)
targets = own_columns(targets, first, end)
counts = own_columns(counts, first, end)
before = own_rows(before, first, end)
last = own_rows(last, first, end)
zeros = own_rows(zeros, 0, end - first)
losses = losses[number]
"""


def _called(calls: list[Call]) -> Iterator[str]:
    """The calls."""
    numbers = itertools.count()
    for kernel, arguments, results, wrong in calls:
        given = [str(place) for place in arguments]
        by_name = f"{kernel}({', '.join(given)})"
        by_address = f"call({kernel}, addresses[{{}}], {as_tuple(given)})"
        found = by_name if kernel in _COPYING else by_address.format(next(numbers))
        yield f"{', '.join(results)} = {found}"
        yield from [f"if {wrong}:", "    return False"] if wrong else []


def _put(stack: Stack) -> Iterator[str]:
    """The last states and the gradients go where they are wanted; whether they fit."""
    layers = range(len(stack.layers))
    yield "fits = True"
    yield from [f"fits &= copy_each(after_{n}, last[{n}])" for n in layers]
    yield "gradients = " + " + ".join([f"gradients_{n}" for n in layers] + ["(dWhy, dby)"])
    yield "is_apart = out.shape[0] > 1"
    yield from ("if not is_apart:", "    await_turn(gate, number)")
    yield "fits &= lay_out(gradients, out[number if is_apart else 0], not is_apart and number > 0)"
    yield from ("if not is_apart:", "    end_turn(gate, number)", "return fits")


PATIENCE = 8

"""Shards that go the long way first: for a few steps it does not pay to compile for half a second or more."""


class Direct:
    """The short way of a model's shards, where there is one.

    Args:
        stack: The layers.
        weights: Their arrays.
        readout: ``Why (H, V)`` and ``by (V,)``.

    Attributes:
        patience: Shards of each kind that go the long way first.
    """

    def __init__(self, stack: Stack, weights: StackWeights, readout: tuple[Array, Array]) -> None:
        self._stack, self._weights, self._readout = stack, tuple(weights), readout
        self._is_open = _is_open(stack)
        self._takes_inputs, self._options = bool(stack.inputs), stack.layers[0].passes.options
        self._widths = tuple([layer.output_size for layer in stack.layers])
        self._nothing: tuple[tuple[Array, ...], ...] = ((),) * len(stack.layers)
        self._behind: dict[int, tuple[tuple[Array, ...], ...]] = {}
        self.patience = PATIENCE
        self._gone: Counter[Any] = Counter()
        self._routes: dict[Any, Route | None] = {}

    def loss_and_grad(
        self, objective: Objective, parts: Sequence[slice], out: Array, threads: int
    ) -> tuple[Array, Arrays] | None:
        """As that of the objective for all these shards; None if they have to go the long way.

        That is so where something is between two kernels (dropout, residual layers, segments), where a cell's
        kernels are no ``zoo.njit`` functions, for the first few shards, and if a kernel raises something or
        returns arrays that do not fit: on the long way, that is an error. The long way sets everything again.

        Args:
            objective: The loss of a batch.
            parts: Rows of the shards, which follow each other.
            out: Where their gradients go, ``(shards, P)``, or ``(1, P)`` for the sum in their order.
            threads: How many may work on them.

        Returns:
            The losses of each shard, ``(shards, T)``, and the last states of all their rows.
        """
        run = objective.run
        if not self._is_open or not parts or len(run.segments) > 1 or is_interpreted():
            return None
        if self._is_new(objective, len(parts)):
            return None
        (steps,) = run.segments
        rows = slice(parts[0].start, parts[-1].stop)
        told = self._told(run, rows)
        if told is None:
            return None
        read = run.read_steps(steps)
        places, before = None if isinstance(read, slice) else read, states_of(run.state, rows)
        targets, counts = cut(objective.targets, steps, rows)[read], run.counts_of(steps, rows)[read]
        losses = np.zeros((len(parts), steps.stop))
        part = losses if places is None else np.empty((len(parts), len(places)))
        after = {name: np.empty_like(value) for name, value in before.items()}
        size = parts[0].stop - parts[0].start
        given = Given(
            weights=self._weights,
            inputs=cut(run.inputs, steps, rows),
            before=self._by_layer(before),
            beside=told,
            options=self._options,
            readout=self._readout,
            targets=targets,
            counts=counts,
            places=places,
            binary=objective.binary,
            scale=1 / run.total,
            zeros=self._zeros(size),
            widths=self._widths,
            rows=size,
            losses=part,
            last=self._by_layer(after),
            out=out,
        )
        route = self._route((*_kind(objective), places is None), given)
        if route is None or not route.take(given, len(parts), threads):
            return None
        if places is not None:
            losses[:, places] = part
        return losses, after

    def _route(self, kind: Any, given: Given) -> Route | None:
        """The step for arguments of a kind."""
        if kind not in self._routes:
            self._routes[kind] = route(self._stack, given)
        return self._routes[kind]

    def _told(self, run: Pass, rows: slice) -> tuple[tuple[Array, ...], ...] | None:
        """What each layer is told beside its input; None if something is dropped between two layers."""
        if not self._takes_inputs and (run.beside.draw is None or not run.beside.dropout):
            return self._nothing
        (steps,) = run.segments
        told = run.beside.part(steps, rows)
        dropped = any(each.mask is not None for each in told)
        return None if dropped else tuple([each.inputs[0] for each in told])

    def _zeros(self, batch: int) -> tuple[tuple[Array, ...], ...]:
        """What comes back from behind the last step; no kernel writes to it."""
        if batch not in self._behind:
            shapes, dtype = self._stack.state_shapes, self._readout[0].dtype
            zeros = {name: np.zeros((batch, *shape), dtype) for name, shape in shapes.items()}
            self._behind[batch] = self._by_layer(zeros)
        return self._behind[batch]

    def _is_new(self, objective: Objective, count: int) -> bool:
        """Whether too few shards of this kind went the long way; if so, these do."""
        kind = _kind(objective)
        is_new = self._gone[kind] < self.patience
        self._gone[kind] += count * is_new
        return is_new

    def _by_layer(self, state: Arrays) -> tuple[tuple[Array, ...], ...]:
        return tuple([tuple([state[name] for name in layer.states]) for layer in self._stack.layers])


def _kind(objective: Objective) -> tuple[Any, Any]:
    """The types of inputs and targets: in all else, the arguments of a model's steps are alike."""
    return objective.run.inputs.dtype, objective.targets.dtype


def _is_open(stack: Stack) -> bool:
    """Whether nothing lies between the kernels of a stack, and compiled code can call them."""
    passes = stack.layers[0].passes
    are_compiled = isinstance(passes.forward, Kernel) and isinstance(passes.backward, Kernel)
    are_plain = not any(floor.is_residual or len(floor.layers) > 1 for floor in stack.floors)
    return are_compiled and are_plain and len(stack.layers) <= MOST_LAYERS
