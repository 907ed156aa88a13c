"""The compiled step of :mod:`zoo.model.direct`: a few lines that call kernel after kernel.

What they are and what types go from one kernel to the next both follow from one list of calls.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numba
from numba import types

from zoo.compiler.emission.module import as_tuple
from zoo.compiler.generated import load_source
from zoo.compiler.passes import Passes
from zoo.contracts import Cell
from zoo.kernels.calls import Entry
from zoo.layers.helpers import share
from zoo.layers.stack import Stack
from zoo.model.given import Given
from zoo.model.readout import put_steps, read_loss_grads, take_steps

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
    yield "from zoo.kernels.calls import call"
    yield "from zoo.kernels.shards import copy_each, lay_out, own_columns, own_rows"
    yield "from zoo.kernels.sharing import await_turn, end_turn, pieces, share_out"
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
