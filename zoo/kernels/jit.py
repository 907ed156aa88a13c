"""``zoo.njit``: Numba's ``njit`` with zoo's options, compiled lazily and cached on disk by content.

Decorating costs nothing and imports nothing, so a plugin's module loads in a millisecond and ``zoo cells``
never waits for a compiler. The Numba dispatcher is made at the first call, or when another kernel that uses
this one compiles.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Generic, ParamSpec, TypeVar, overload

P = ParamSpec("P")
R = TypeVar("R")

# No "nnan" and no "ninf": with either, NaN guards compile to nothing and a diverged run looks healthy.
FAST = frozenset({"contract", "reassoc", "arcp", "nsz"})
EXACT = frozenset({"contract"})
"""For code whose rounding is the point (range reduction, compensated sums): no reassociation."""

_interpreted: ContextVar[bool] = ContextVar("zoo_interpreted", default=False)
_making = threading.Lock()


@contextlib.contextmanager
def interpreted() -> Iterator[None]:
    """Within the block, kernels called from Python run as plain Python, which jitted code must equal."""
    token = _interpreted.set(True)
    try:
        yield
    finally:
        _interpreted.reset(token)


def is_interpreted() -> bool:
    """Whether kernels called from Python run as plain Python now."""
    return _interpreted.get()


class Kernel(Generic[P, R]):
    """A function that is compiled when first needed; made by :func:`njit`.

    Args:
        py_func: The function as written.
        options: Options of ``numba.njit``.
        twin: What to run instead where Numba is switched off, for a function that Python cannot run.
        disjoint: Whether its arrays share no memory.
    """

    def __init__(
        self,
        py_func: Callable[P, R],
        options: dict[str, Any],
        twin: Callable[P, R] | None = None,
        disjoint: bool = False,
    ) -> None:
        functools.update_wrapper(self, py_func)
        self.py_func = py_func
        self._options, self._disjoint = options, disjoint
        self._plain = twin or py_func
        self._dispatcher: Callable[P, R] | None = None
        self._nested: Callable[P, R] | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the compiled function, compiling it first if need be."""
        if _interpreted.get():
            return self._plain(*args, **kwargs)
        return self.dispatcher(*args, **kwargs)

    @property
    def dispatcher(self) -> Callable[P, R]:
        """The Numba dispatcher, or the plain function under ``NUMBA_DISABLE_JIT=1``."""
        if self._dispatcher is None:
            from zoo.kernels.dispatcher import compile_lazily

            with _making:  # two threads that call first must not each compile a dispatcher of their own
                if self._dispatcher is None:
                    self._dispatcher = compile_lazily(self.py_func, self._plain, self._options)
        return self._dispatcher

    @property
    def nested(self) -> Callable[P, R]:
        """The Numba dispatcher that other kernels call."""
        if self._nested is None:
            from zoo.kernels.dispatcher import compile_nested

            with _making:
                if self._nested is None:
                    self._nested = compile_nested(self.py_func, self._options, self._disjoint)
        return self._nested

    @property
    def signatures(self) -> list[Any]:
        """Signatures compiled or loaded so far, for Python to call."""
        return list(getattr(self.dispatcher, "signatures", []))

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.py_func)

    def __reduce__(self) -> str:
        return self.py_func.__qualname__  # as a function: by its module and name

    def __repr__(self) -> str:
        return f"<zoo.njit {self.py_func.__module__}.{self.py_func.__qualname__}>"


@overload
def njit(function: Callable[P, R]) -> Kernel[P, R]: ...
@overload
def njit(
    *,
    fastmath: frozenset[str] = FAST,
    inline: bool = False,
    disjoint: bool = False,
    twin: Callable[..., Any] | None = None,
) -> Callable[[Callable[P, R]], Kernel[P, R]]: ...
def njit(
    function: Callable[P, R] | None = None,
    *,
    fastmath: frozenset[str] = FAST,
    inline: bool = False,
    disjoint: bool = False,
    twin: Callable[..., Any] | None = None,
) -> Any:
    """Compile a function with Numba, lazily, without the GIL, with NumPy's error model, cached on disk.

    Division follows NumPy (``1 / 0`` is infinite), which is what lets loops vectorise: the check for zero
    that Python's model asks for costs a factor of six. Floating point may be contracted and reassociated, but
    NaN and infinities keep their meaning.

    Args:
        function: The function to compile; it may call other functions decorated so, and ``zoo.kernels``.
        fastmath: LLVM's fast-math flags.
        inline: Paste the machine code into every caller, whatever its size.
        disjoint: Promise that no array that it writes to shares memory with another that it is given; then
            loops over many arrays vectorise without a test. It counts where other kernels call the function.
        twin: What runs in its place where Numba is switched off, in :func:`zoo.kernels.interpreted` and
            under ``NUMBA_DISABLE_JIT=1``, for a function that Python cannot run.
    """
    options = {
        "error_model": "numpy",
        "nogil": True,
        "fastmath": set(fastmath),
        "forceinline": inline,
    }
    if function is None:
        return lambda decorated: Kernel(decorated, options, twin, disjoint)
    return Kernel(function, options, twin, disjoint)
