"""Words of memory that several threads read and write, and what a thread does while it waits for one.

Every word is an int64. Reading acquires and writing releases: what a thread wrote before it wrote a word,
another sees that has read the word.

Work that several threads share without Python: pieces with numbers, of which each takes the next.

Who has work opens a gate and takes pieces too; helpers look at the gate in a loop, come in, take pieces and
leave; when none is left the gate is closed, and the work is done once the last helper is out. Helpers that
are busy or asleep are not waited for. From the opening of the gate to a helper's first piece it takes a fifth
of a microsecond. A sleeping thread takes 50 us to wake, and in Python it waits for the interpreter besides: a
step of 25 symbols in 16 rows of 32 units then took longer in two threads than in one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils

from zoo.kernels.float_formats import intrinsic
from zoo.kernels.jit import njit

_WORD = 8

_YIELD_TYPE = ir.FunctionType(ir.IntType(32), [])

# Moments in 5 us.
_SHORT = 200

# Tells a core that it waits, so that it saves power and leaves the loop faster: by the start of the target.
_PAUSES: dict[str, tuple[str, tuple[int, ...]]] = {
    "x86_64": ("llvm.x86.sse2.pause", ()),
    "i686": ("llvm.x86.sse2.pause", ()),
    "aarch64": ("llvm.aarch64.hint", (1,)),
    "arm64": ("llvm.aarch64.hint", (1,)),
}


@intrinsic
def load(_typing: Any, words: Any, _place: Any) -> Any:
    """``words[place]``, for int64."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_address(context, builder, signature, args), "acquire", _WORD)

    return types.int64(words, types.int64), emit


@intrinsic
def store(_typing: Any, words: Any, _place: Any, _value: Any) -> Any:
    """``words[place] = value``."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[2], _address(context, builder, signature, args), "release", _WORD)
        return context.get_dummy_value()

    return types.void(words, types.int64, types.int64), emit


@intrinsic
def fetch_add(_typing: Any, words: Any, _place: Any, _value: Any) -> Any:
    """``words[place] += value``; what it was before."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", _address(context, builder, signature, args), args[2], "acq_rel")

    return types.int64(words, types.int64, types.int64), emit


@intrinsic
def swap_if(_typing: Any, words: Any, _place: Any, _expected: Any, _value: Any) -> Any:
    """``words[place] = value`` if it is what was expected; whether it was."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        place = _address(context, builder, signature, args)
        return builder.extract_value(builder.cmpxchg(place, args[2], args[3], "acq_rel", "acquire"), 1)

    return types.boolean(words, types.int64, types.int64, types.int64), emit


@intrinsic
def rest(_typing: Any, _waited: Any, _let_others_run: Any) -> Any:
    """Wait a moment, of 25 ns, for another thread; after 5 us it may be waiting for this one's processor.

    Args:
        _waited: What this returned before; at first 0.
        _let_others_run: The address of the system's function that does; 0 if there is none.
    """

    def emit(_context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        waited, address = args
        _pause(builder)
        is_long = builder.icmp_signed(">", waited, waited.type(_SHORT))
        is_known = builder.icmp_signed("!=", address, address.type(0))
        with builder.if_then(builder.and_(is_long, is_known)):
            builder.call(builder.inttoptr(address, _YIELD_TYPE.as_pointer()), [])
        return builder.add(waited, waited.type(1))

    return types.int64(types.int64, types.int64), emit


def _pause(builder: ir.IRBuilder) -> None:
    """Do nothing for a moment."""
    target = builder.module.triple.partition("-")[0]
    if target in _PAUSES:
        name, numbers = _PAUSES[target]
        given = [ir.IntType(32)(number) for number in numbers]
        kind = ir.FunctionType(ir.VoidType(), [number.type for number in given])
        builder.call(builder.module.declare_intrinsic(name, (), kind), given)


def _address(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
    """Where the word is that the first two arguments name."""
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.gep(array.data, [args[1]])


Array = Any

_tools: Any = cgutils  # Numba's helpers are untyped

_ADDRESS = ir.IntType(64)

# The words of a gate, those that different threads write far apart: caches move 64 bytes at a time, or 128.
_GATE, _NEXT, _TURN = 0, 16, 32

_CODE, _DATA, _COUNT, _FAILED, _STOPPED, _YIELD = range(48, 54)

_WORDS = 64

# The gate counts those inside, says whether it is open, and which time this is.
_OPEN = 1 << 15

_TIME = 1 << 16


def gate(let_others_run: int) -> Array:
    """A gate, closed, and all that stands beside it.

    Args:
        let_others_run: The address of the system's function that does; 0 if there is none.
    """
    words = np.zeros(_WORDS, np.int64)
    words[_YIELD] = let_others_run
    return words


def stop(words: Array) -> None:
    """Send all helpers away, from Python."""
    words[_STOPPED] = 1


def is_stopped(words: Array) -> bool:
    """Whether they were sent away."""
    return bool(words[_STOPPED])


@intrinsic
def pieces(typing: Any, function: Any, some: Any, others: Any) -> Any:
    """``function(number, *some, *others)`` for any number: where its code and its arguments are.

    Both are there until the caller returns. The kernel returns whether it went well.
    """
    callee = function.get_call_type(typing, (types.int64, *some, *others), {})
    result = types.UniTuple(types.int64, 2)  # type: ignore[no-untyped-call]

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        places = [_tools.alloca_once_value(builder, each) for each in args[1:]]
        data = _tools.pack_array(builder, [builder.ptrtoint(each, _ADDRESS) for each in places])
        data = _tools.alloca_once_value(builder, data)
        code = _pieces_function(context, builder)
        inside = ir.IRBuilder(code.append_basic_block())
        number, place = context.call_conv.decode_arguments(inside, _PIECE.args, code)
        found = inside.load(inside.bitcast(place, data.type))
        given = [number]
        for n, kinds in enumerate((some, others)):
            address = inside.extract_value(found, n)
            values = inside.inttoptr(address, places[n].type)
            given += [inside.load(_tools.gep_inbounds(inside, values, 0, m)) for m in range(len(kinds))]
        implementation = context.get_function(function, callee)
        went_well = implementation(inside, given)
        context.add_linking_libs(getattr(implementation, "libs", ()))
        context.call_conv.return_value(inside, context.get_return_value(inside, types.boolean, went_well))
        addresses = [builder.ptrtoint(each, _ADDRESS) for each in (code, data)]
        return context.make_tuple(builder, result, addresses)

    return result(function, some, others), emit


_PIECE = types.boolean(types.int64, types.voidptr)


def _pieces_function(context: Any, builder: ir.IRBuilder) -> Any:
    """A new function of a number and of where its data are, with Numba's way of calling."""
    module = builder.module
    shape = context.call_conv.get_function_type(_PIECE.return_type, _PIECE.args)
    made = ir.Function(module, shape, name=module.get_unique_name(f"{builder.function.name}.piece"))
    made.linkage = "internal"
    return made


@intrinsic
def _do_piece(_typing: Any, _code: Any, _data: Any, _number: Any) -> Any:
    """Call the function that :func:`pieces` found; what it returned, and False if it raised."""

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        convention = context.call_conv
        kind = convention.get_function_type(_PIECE.return_type, _PIECE.args)
        place = builder.inttoptr(args[0], kind.as_pointer())
        given = [args[2], builder.inttoptr(args[1], context.get_value_type(types.voidptr))]
        status, result = convention.call_function(builder, place, _PIECE.return_type, _PIECE.args, given)
        return builder.and_(status.is_ok, result)

    return types.boolean(types.int64, types.int64, types.int64), emit


@njit
def _take_pieces(words: Array) -> None:
    """Do the next piece until there is none."""
    number = fetch_add(words, _NEXT, 1)
    while number < words[_COUNT]:
        if not _do_piece(words[_CODE], words[_DATA], number):
            store(words, _FAILED, 1)
        number = fetch_add(words, _NEXT, 1)


@njit
def share_out(words: Array, count: int, code: int, data: int) -> bool:
    """Do the pieces of all numbers less than count; whether all went well.

    Args:
        words: From :func:`gate`; only one thread at a time may share out at one.
        count: How many pieces there are.
        code: From :func:`pieces`, as is data.
        data: The arguments.
    """
    words[_CODE], words[_DATA], words[_COUNT], words[_FAILED] = code, data, count, 0
    store(words, _NEXT, 0)
    store(words, _TURN, 0)
    fetch_add(words, _GATE, _TIME + _OPEN)
    _take_pieces(words)
    fetch_add(words, _GATE, -_OPEN)
    waited = 0
    while load(words, _GATE) % _OPEN != 0:
        waited = rest(waited, words[_YIELD])
    return words[_FAILED] == 0  # type: ignore[no-any-return]


@njit
def await_turn(words: Array, number: int) -> None:
    """Within a piece, wait until those of lower numbers have ended their turns."""
    waited = 0
    while load(words, _TURN) != number and load(words, _FAILED) == 0:
        waited = rest(waited, words[_YIELD])


@njit
def end_turn(words: Array, number: int) -> None:
    """Within a piece, let that of the next number have its turn."""
    store(words, _TURN, number + 1)


@njit
def help_out(words: Array, patience: int) -> None:
    """Take pieces whenever the gate opens.

    It does not return to Python in between: there, each thread would keep the other from going on.

    Args:
        words: From :func:`gate`.
        patience: Rounds of waiting after which it returns if the gate stays closed; at once if helpers were
            sent away.
    """
    seen, waited = 0, 0
    while waited < patience and load(words, _STOPPED) == 0:
        found = load(words, _GATE)
        time = found // _TIME
        if found % _TIME >= _OPEN and time != seen and swap_if(words, _GATE, found, found + 1):
            _take_pieces(words)
            fetch_add(words, _GATE, -1)
            seen, waited = time, 0
        waited = rest(waited, words[_YIELD])
