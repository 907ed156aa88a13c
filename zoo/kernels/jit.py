"""``zoo.njit``: Numba's ``njit`` with zoo's options, compiled lazily and cached on disk by content.

The decorator imports nothing, so a plugin's module loads in a millisecond and ``zoo cells`` never waits for a
compiler. The Numba dispatcher is made at the first call, or when another kernel that calls this one compiles.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar, overload

P = ParamSpec("P")
R = TypeVar("R")

# No "nnan" and no "ninf": with either, NaN guards compile to nothing and a diverged run looks healthy.
FAST = frozenset({"contract", "reassoc", "arcp", "nsz"})
EXACT = frozenset({"contract"})
"""No reassociation, for code that depends on rounding (range reduction, compensated sums)."""

Observer = Callable[["Kernel[Any, Any]", tuple[Any, ...]], None]
"""A function of a kernel and its positional arguments."""


class _Mode(NamedTuple):
    """The mode of kernels that Python calls.

    Args:
        is_pure_python: Within :func:`pure_python`.
        observers: Of kernels that Python calls, and of kernels that a kernel calls.
    """

    is_pure_python: bool = False
    observers: tuple[Observer, Observer] | None = None


_COMPILED, _PLAIN = _Mode(), _Mode(is_pure_python=True)
# One variable, since kernels call others a million times in plain Python: two took 6 % of that time.
_mode: ContextVar[_Mode] = ContextVar("zoo_mode", default=_COMPILED)
_dispatcher_lock = threading.Lock()


@contextlib.contextmanager
def pure_python() -> Iterator[None]:
    """Within the block, run kernels that Python calls as pure Python, to compare with compiled code.

    As in compiled code, infinities and NaN cause no warnings.
    """
    import numpy as np  # not at the top: a plugin loads without it

    observers = _mode.get().observers
    token = _mode.set(_PLAIN if observers is None else _Mode(True, observers))
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        _mode.reset(token)


def is_pure_python() -> bool:
    """Whether kernels called from Python run as pure Python now."""
    return _mode.get().is_pure_python


@contextlib.contextmanager
def observe_calls(observer: Observer, nested: Observer | None = None) -> Iterator[None]:
    """Within the block, and within :func:`pure_python`, call a function before each kernel.

    Args:
        observer: Called before a kernel that Python calls.
        nested: Called before a kernel that a kernel calls.
    """
    both = (observer, nested or (lambda _kernel, _arguments: None))
    token = _mode.set(_mode.get()._replace(observers=both))
    try:
        yield
    finally:
        _mode.reset(token)


def signal_exception(error: SystemError) -> BaseException:
    """The exception of a signal handler, such as KeyboardInterrupt, instead of the error that it causes.

    Numba calls a Python function when it makes an array of a result. If a signal handler raises an exception
    there, the call ends with a SystemError that has this exception as its cause. With further arrays of the
    same result, the cause is another SystemError.

    Args:
        error: An error of a compiled function.

    Returns:
        The first cause, or the error itself if it has none.
    """
    first: BaseException = error
    while isinstance(first, SystemError) and first.__cause__ is not None:
        first = first.__cause__
    return first


class Kernel(Generic[P, R]):
    """A function that is compiled at its first call; made by :func:`njit`.

    Args:
        py_func: The Python function.
        options: Options of ``numba.njit``.
        python_fallback: As in :func:`njit`.
        noalias: As in :func:`njit`.
        shared: As in :func:`njit`.
    """

    def __init__(
        self,
        py_func: Callable[P, R],
        options: dict[str, Any],
        python_fallback: Callable[P, R] | None = None,
        noalias: bool = False,
        shared: bool = False,
    ) -> None:
        functools.update_wrapper(self, py_func)
        self.py_func = py_func
        self.options, self.noalias, self.shared = options, noalias, shared
        self._python = python_fallback or py_func
        self._dispatcher: Callable[P, R] | None = None
        self._inlined: Callable[P, R] | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function, and compile it first if necessary."""
        mode = _mode.get()
        if mode is _PLAIN:  # no further call: kernels call others a million times in plain Python
            return self._python(*args, **kwargs)
        if not mode.is_pure_python:
            try:
                return self.dispatcher(*args, **kwargs)
            except SystemError as error:
                raise signal_exception(error) from None
        assert mode.observers is not None  # else the mode is _PLAIN
        observer, nested = mode.observers
        observer(self, args)
        token = _mode.set(_Mode(True, (nested, nested)))
        try:
            return self._python(*args, **kwargs)
        finally:
            _mode.reset(token)

    @property
    def dispatcher(self) -> Callable[P, R]:
        """The Numba dispatcher, or the Python fallback under ``NUMBA_DISABLE_JIT=1``."""
        if self._dispatcher is None:
            from zoo.kernels.dispatcher import make_dispatcher

            with _dispatcher_lock:  # two first calls in two threads share a dispatcher
                if self._dispatcher is None:
                    self._dispatcher = make_dispatcher(self.py_func, self._python, self.options)
        return self._dispatcher

    @property
    def inlined(self) -> Callable[P, R]:
        """The Numba dispatcher that other kernels call."""
        if self._inlined is None:
            from zoo.kernels.dispatcher import make_inlined_dispatcher

            with _dispatcher_lock:
                if self._inlined is None:
                    self._inlined = make_inlined_dispatcher(self)
        return self._inlined

    @property
    def _numba_type_(self) -> Any:
        """The type of a kernel that is a global of another kernel: that of its dispatcher."""
        return self.inlined._numba_type_  # type: ignore[attr-defined]

    @property
    def signatures(self) -> list[Any]:
        """Signatures compiled or loaded so far for calls from Python."""
        return list(getattr(self.dispatcher, "signatures", []))

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.py_func)

    def __reduce__(self) -> str:
        return self.py_func.__qualname__  # like a function, by module and name

    def __repr__(self) -> str:
        return f"<zoo.njit {self.py_func.__module__}.{self.py_func.__qualname__}>"


@overload
def njit(function: Callable[P, R]) -> Kernel[P, R]: ...
@overload
def njit(
    *,
    fastmath: frozenset[str] = FAST,
    inline: bool = False,
    noalias: bool = False,
    shared: bool = False,
    python_fallback: Callable[..., Any] | None = None,
) -> Callable[[Callable[P, R]], Kernel[P, R]]: ...
def njit(
    function: Callable[P, R] | None = None,
    *,
    fastmath: frozenset[str] = FAST,
    inline: bool = False,
    noalias: bool = False,
    shared: bool = False,
    python_fallback: Callable[..., Any] | None = None,
) -> Any:
    """Compile a function with Numba, lazily, without the GIL, with NumPy's error model, cached on disk.

    Division follows NumPy (``1 / 0`` is infinite), so that loops vectorise: the check for zero of Python's
    error model costs a factor of six. Floating-point operations may be contracted and reassociated. NaN and
    infinities keep their meaning.

    Args:
        function: The function to compile. It may call other ``zoo.njit`` functions and ``zoo.kernels``.
        fastmath: LLVM's fast-math flags.
        inline: Inline the machine code into every caller, whatever its size.
        noalias: Promise that no array that the function writes to shares memory with another argument. Loops
            over many arrays then vectorise without an overlap test. Effective where other kernels call it.
        shared: Compile the function once for all kernels that call it, instead of including its code in each.
            For long functions: a call with three matrices takes 4 ns (AMD EPYC).
        python_fallback: Function to run in :func:`zoo.kernels.pure_python` and under
            ``NUMBA_DISABLE_JIT=1``, if Python cannot run ``function``.

    A branch that a literal of the caller or a comparison of an argument with None decides is compiled only if
    it can run: with ``mask=None``, ``if mask is not None`` needs no code for masks.
    """
    options = {
        "error_model": "numpy",
        "nogil": True,
        "fastmath": set(fastmath),
        "forceinline": inline,
    }
    if function is None:
        return lambda decorated: Kernel(decorated, options, python_fallback, noalias, shared)
    return Kernel(function, options, python_fallback, noalias, shared)
