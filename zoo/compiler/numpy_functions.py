"""NumPy's functions that are no ufuncs, on symbolic arrays: which there are, and what to write for others."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from zoo.compiler.arranging import ARRANGING
from zoo.compiler.blame import TraceError
from zoo.compiler.diagonals import DIAGONALS
from zoo.compiler.einsum import einsum
from zoo.compiler.linear_algebra import LINEAR_ALGEBRA
from zoo.compiler.operands import as_node, guarded, trace
from zoo.compiler.reducing import REDUCING
from zoo.compiler.ufuncs import is_complex, is_truth
from zoo.contracts.names import did_you_mean


def call_function(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A function of NumPy's on arguments of which one at least is symbolic.

    Raises:
        TraceError: if it is none that can be compiled.
    """
    if function not in _FUNCTIONS:
        raise TraceError(f"{called(function)} is not compiled; {_instead(function)}")
    operands = [*args, *kwargs.values(), *(args[0] if args and isinstance(args[0], list | tuple) else ())]
    if any(is_complex(each) for each in operands if not isinstance(each, list | tuple)):
        from zoo.compiler.complex_numbers import call_complex_function

        return call_complex_function(function, args, kwargs)
    implementation = _FUNCTIONS[function]
    signature = inspect.signature(implementation)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TraceError(
            f"{called(function)} is compiled as {function.__name__}{_plain(signature)}: {error}"
        ) from None
    return implementation(*args, **kwargs)


def called(function: Any) -> str:
    """How one writes a function of NumPy's."""
    return f"{function.__module__.replace('numpy', 'np', 1)}.{function.__name__}"


def _plain(signature: inspect.Signature) -> inspect.Signature:
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    return inspect.Signature(bare)


def _instead(function: Any) -> str:
    """What to write in place of a function that is not compiled."""
    name = called(function)
    if name in _INSTEAD:
        return f"write {_INSTEAD[name]}"
    known = sorted({called(each).removeprefix("np.") for each in _FUNCTIONS})
    hint = did_you_mean(name.removeprefix("np."), known)
    return f"these are: {', '.join(known)}{'.' if hint else ''}{hint}"


_INSTEAD = {
    "np.append": "np.concatenate",
    "np.array_split": "np.split with the places to cut at",
    "np.average": "np.sum(a * weights)",
    "np.column_stack": "np.stack with axis=1",
    "np.diff": "a[1:] - a[:-1]",
    "np.kron": "a[:, None] * b[None, :] and reshape",
    "np.pad": "np.concatenate with np.zeros_like",
    "np.round": "np.floor(a + 0.5)",
    "np.take": "a[i]",
    "np.tensordot": "it with @, reshape and swapaxes",
}


def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = a_min if a_min is not None else min, a_max if a_max is not None else max
    a = a if low is None else np.maximum(a, low)
    return a if high is None else np.minimum(a, high)


def _where(condition: Any, x: Any, y: Any) -> Any:
    if is_truth(x) and is_truth(y):
        return np.logical_and(condition, x) | np.logical_and(np.logical_not(condition), y)
    return trace("where", condition, x, y)


def _full_like(a: Any, fill_value: Any) -> Any:
    return guarded(a.graph.broadcast, as_node(fill_value, a.graph), a.dims)


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    **ARRANGING,
    **DIAGONALS,
    **LINEAR_ALGEBRA,
    **REDUCING,
    np.clip: _clip,
    np.einsum: einsum,
    np.full_like: _full_like,
    np.imag: lambda val: val.imag,
    np.ndim: lambda a: a.ndim,
    np.ones_like: lambda a: _full_like(a, 1.0),
    np.real: lambda val: val.real,
    np.shape: lambda a: a.shape,
    np.size: lambda a: a.size,
    np.where: _where,
    np.zeros_like: lambda a: _full_like(a, 0.0),
}
