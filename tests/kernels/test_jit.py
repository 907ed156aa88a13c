"""``zoo.njit``: lazy compilation, plain Python on request, fastmath and checks."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import threading

import numba
import numpy as np
import pytest

import zoo
from zoo import kernels
from zoo.kernels.jit import Kernel, observe_calls

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")

FACTOR = 3.0


@zoo.njit
def scaled(x):
    """Three times x."""
    return FACTOR * x


@zoo.njit
def scaled_sum(values, offset=0.0):
    total = offset
    for value in values:
        total += scaled(value)
    return total


@zoo.njit(python_fallback=lambda x: -x)
def with_fallback(x):
    return x


def in_a_process(code: str, **environment: str) -> str:
    """Run a program in a new process and return its output."""
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_dispatcher_does_not_import_scipy_linalg() -> None:
    code = (
        "import sys\n"
        "import zoo.kernels.dispatcher\n"
        "from numba.core.registry import cpu_target\n"
        "from numba.np import arraymath, linalg\n"
        "cpu_target.target_context.refresh()\n"
        "before = 'scipy.linalg' in sys.modules\n"
        "linalg.ensure_blas()\n"
        "print(arraymath._HAVE_BLAS, before, 'scipy.linalg' in sys.modules)\n"
    )
    assert in_a_process(code) == "True False True\n"


def test_decorator_imports_no_compiler() -> None:
    code = (
        "import sys, zoo\n"
        "from zoo import kernels\n"
        "import zoo_cells.classic.vanilla\n"
        "@zoo.njit\n"
        "def f(x): return kernels.tanh(x)\n"
        "@zoo.njit(inline=True)\n"
        "def g(x): return x\n"
        "print(repr(f), f.__name__, g.py_func(3), 'numba' in sys.modules)\n"
    )
    assert in_a_process(code) == "<zoo.njit __main__.f> f 3 False\n"


def test_kernel_has_metadata_of_its_function() -> None:
    assert (scaled.__name__, scaled.__doc__, scaled.__module__) == ("scaled", "Three times x.", __name__)
    assert list(inspect.signature(scaled_sum).parameters) == ["values", "offset"]
    assert scaled.py_func(2.0) == 6.0
    assert isinstance(scaled, Kernel)


def test_kernels_call_kernels() -> None:
    assert scaled_sum(np.array([1.0, 2.0])) == 9.0
    assert scaled_sum(np.array([1.0]), offset=1.0) == 4.0
    assert scaled_sum(values=np.array([1.0])) == 3.0


def test_kernels_of_other_modules_are_callable() -> None:
    from zoo.kernels import random
    from zoo.kernels.random import random_uniform

    @zoo.njit
    def draw(counter):
        return random_uniform(np.uint64(7), np.uint64(counter)) - random.random_uniform(
            np.uint64(7), np.uint64(counter)
        )

    assert draw(3) == 0.0


def test_pure_python_runs_python_and_ends() -> None:
    seen = []

    def spy(x):
        seen.append(x)
        return x

    kernel = Kernel(spy, {})
    with kernels.pure_python():
        assert kernel(3) == 3
        with kernels.pure_python():
            pass
        assert kernel(4) == 4, "blocks nest"
    assert seen == [3, 4]
    before = len(scaled.signatures)
    with pytest.raises(ZeroDivisionError), kernels.pure_python():
        zoo.njit(lambda x: 1 / x)(0)
    assert scaled(np.float32(1)) == 3, "compiled again after the block, even one left by an error"
    assert len(scaled.signatures) > before


@pytest.mark.parametrize("is_first", [True, False])
def test_observers_see_calls_of_pure_python(is_first) -> None:
    inner = Kernel(lambda x: x, {})
    outer = Kernel(lambda x: inner(x) + inner(x), {})
    seen = []

    def observe():
        return observe_calls(
            lambda kernel, arguments: seen.append((kernel, *arguments)),
            lambda kernel, _arguments: seen.append(kernel),
        )

    blocks = (observe, kernels.pure_python) if is_first else (kernels.pure_python, observe)
    with blocks[0](), blocks[1]():
        assert outer(2) == 4
        assert inner(5) == 5
    assert seen == [(outer, 2), inner, inner, (inner, 5)]
    with kernels.pure_python():
        outer(2)
    assert len(seen) == 4, "the block has ended"


def test_python_fallback_runs_without_numba() -> None:
    assert with_fallback(3) == 3
    with kernels.pure_python():
        assert with_fallback(3) == -3
    assert with_fallback(3) == 3


def test_disable_jit_runs_everything_in_python() -> None:
    code = (
        "import numpy as np, zoo, sys\n"
        "from zoo import kernels\n"
        "from zoo_cells.classic import vanilla\n"
        "@zoo.njit(python_fallback=lambda x: -x)\n"
        "def f(x): return x\n"
        "rng = np.random.default_rng(0)\n"
        "a, w, c = rng.normal(size=(3, 4)), rng.normal(size=(4, 5)), np.zeros((3, 5))\n"
        "kernels.add_matmul(a, kernels.pack(w), c)\n"
        "params = rng.normal(size=(2, 3)), rng.normal(size=(3, 3)), np.zeros(3)\n"
        "y, last, tape = vanilla.forward(params, np.zeros((4, 1), int), (np.zeros((1, 3)),))\n"
        "vanilla.backward(params, np.zeros((4, 1), int), (np.zeros((1, 3)),), tape, y, last)\n"
        "print(f(3), (c == a @ w).all(), y.shape, f.signatures, vanilla.forward.signatures)\n"
    )
    assert in_a_process(code, NUMBA_DISABLE_JIT="1") == "-3 True (4, 1, 3) [] []\n"


def test_signatures_lists_compiled_ones() -> None:
    @zoo.njit
    def twice(x):
        return x + x

    assert twice.signatures == []
    twice(1.0)
    twice(2.0)
    assert len(twice.signatures) == 1
    twice(1)
    assert len(twice.signatures) == 2


def test_division_follows_numpy_and_nan_guards_hold() -> None:
    @zoo.njit
    def odd(a, b):
        return a / b, np.isnan(a / b), np.isinf(a / b)

    assert odd(1.0, 0.0) == (np.inf, False, True)
    assert odd(0.0, 0.0)[1:] == (True, False)


@pytest.mark.parametrize(
    ("options", "flags"),
    [({}, {"contract", "reassoc", "arcp", "nsz"}), ({"fastmath": frozenset({"contract"})}, {"contract"})],
)
def test_fastmath_flags_in_the_code(options, flags: set[str]) -> None:
    kernel = zoo.njit(**options)(lambda x: x) if options else zoo.njit(lambda x: x)
    settings = kernel.dispatcher.targetoptions
    assert settings["nogil"] is True
    assert settings["error_model"] == "numpy"
    assert set(settings["fastmath"]) == flags
    assert not {"nnan", "ninf"} & set(settings["fastmath"])


def test_kernels_release_the_gil() -> None:
    from zoo_cells.classic import vanilla

    for kernel in (vanilla.forward, vanilla.backward, kernels.project, kernels.add_matmul_ta):
        assert kernel.dispatcher.targetoptions["nogil"] is True


def large(x):
    for i in range(x.size):
        x[i] = np.cos(x[i]) * np.exp(x[i]) + np.log(x[i] + 2) * np.sqrt(x[i] + 3)
        x[i] = np.sin(x[i] + 1.5) * np.tan(x[i]) + np.log1p(x[i] + 2) * np.arctan(x[i] - 3)
        x[i] = np.cosh(x[i] / 9) * np.exp2(x[i] / 7) + np.log2(x[i] ** 2 + 2) * np.hypot(x[i], 3)
        x[i] = np.sinh(x[i] / 9) * np.expm1(x[i] / 7) + np.log10(x[i] ** 2 + 2) * np.arctan2(x[i], 3)


@pytest.mark.parametrize("inline", [False, True])
def test_inline_leaves_no_call(inline: bool) -> None:
    kernel = zoo.njit(inline=inline)(large)
    expected, x = np.full(3, 0.5), np.full(3, 0.5)
    kernel(x)  # teaches Numba what it needs to know
    # Compiled here and now: Numba shows no code that it has loaded from a file.
    twice = numba.njit(lambda x: (kernel(x), kernel(x))[1])
    twice(x)
    for _ in range(3):
        large(expected)
    np.testing.assert_allclose(x, expected, rtol=1e-9)
    (code,) = twice.inspect_asm().values()
    instructions = [line for line in code.splitlines() if line.startswith("\t") and line[1] != "."]
    calls = [line for line in instructions if "5large" in line and "NumbaEnv" not in line]
    assert (calls == []) is inline


def gates(a, b, c, d, e, f):
    for i in range(a.size):
        d[i] = a[i] * b[i]
        e[i] = b[i] + c[i]
        f[i] = a[i] - c[i]


@pytest.mark.parametrize("disjoint", [False, True])
def test_noalias_loops_need_no_overlap_check(disjoint: bool) -> None:
    kernel = zoo.njit(inline=True, noalias=disjoint)(gates)
    arrays = np.arange(1.0, 37.0).reshape(6, 6)

    def of(many):
        kernel(many[0], many[1], many[2], many[3], many[4], many[5])

    kernel(*arrays.copy())  # teaches Numba what it needs to know
    compiled = numba.njit(of)
    expected = arrays.copy()
    gates(*expected)
    compiled(arrays)
    np.testing.assert_array_equal(arrays, expected)
    (code,) = compiled.inspect_llvm().values()
    assert "vector.body" in code
    assert ("vector.memcheck" in code) is not disjoint


@zoo.njit(inline=True)
def not_compilable(x):
    """A function of Python that Numba rejects."""
    return x.nothing_of_this_name


# A kernel for each condition, and the arguments with which the branch does not run.
CONDITIONS = [
    (lambda x, y: not_compilable(x) if y is not None else x, None),
    (lambda x, y: x if y is None else not_compilable(x), None),
    (lambda x, y: not_compilable(x) if y is None else x + y[0], np.ones(2)),
    (lambda x, y: x + y[0] if y is not None else not_compilable(x), (2.0, 3.0)),
    (lambda x, y: not_compilable(x) if y is None else x + y, 2.5),
    (lambda x, y: not_compilable(x) if y == 3 else x, 4),
    (lambda x, y: not_compilable(x) if y != 3 else x, 3),
    (lambda x, y: not_compilable(x) if y else x, False),
    (lambda x, y: x if y else not_compilable(x), True),
]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("function", "value"), CONDITIONS)
def test_branches_that_the_types_decide_are_not_compiled(function, value, shared: bool) -> None:
    kernel = zoo.njit(shared=shared)(function)
    if isinstance(value, (int, bool)):  # literals only in code
        caller = zoo.njit(FUNCTIONS_WITH_LITERALS[value](kernel))
        assert caller(1.5) == function(1.5, value)
    else:
        caller = zoo.njit(lambda x, y: kernel(x, y))
        assert caller(1.5, value) == function(1.5, value)


FUNCTIONS_WITH_LITERALS = {
    4: lambda kernel: lambda x: kernel(x, 4),
    3: lambda kernel: lambda x: kernel(x, 3),
    True: lambda kernel: lambda x: kernel(x, True),
    False: lambda kernel: lambda x: kernel(x, False),
}


def test_branches_that_values_decide_are_compiled() -> None:
    kernel = zoo.njit(lambda x, y: not_compilable(x) if y == 3 else x)
    caller = zoo.njit(lambda x, y: kernel(x, y))
    with pytest.raises(numba.TypingError, match="nothing_of_this_name"):
        caller(1.5, 4)


def reassigned_in_while(x, y):
    count = 0
    while y > 0:
        y = y - 1
        count += 2
    return x + count + y


def reassigned_in_if(x, y):
    if x > 1:
        y = y + 4
    return x * y


def reassigned_in_both_branches(x, y):
    if y:
        y = 0
    else:
        y, x = 5, x + 1
    return x + y


def reassigned_in_loop(x, y):
    total = 0.0
    for i in range(4):
        if y == 3:
            total += 10
        y = y + i
    return total + x


def reassigned_to_another_argument(x, y):
    old = y
    y = x
    return old - y


def used_in_closure(x, y):
    def add(z):
        return z + y

    return add(x) * add(2 * x)


def used_in_lambda_after_branch(x, y):
    times = y + 1 if y != 3 else y

    def multiply(z):
        return z * times

    return multiply(x)


@zoo.njit
def numbers(x, y):
    while y > 0:
        yield x * y
        y = y - 1


def used_in_generator(x, y):
    total = 0.0
    for number in numbers(x, y):
        total += number
    return total


def used_in_comprehension(x, y):
    return sum([x * i + y for i in range(y + 1)])


def used_in_try(x, y):
    try:
        if y == 3:
            raise ValueError
        result = x
    except Exception:
        result = x + 100
    return result + y


def reassigned_in_try(x, y):
    try:
        y = y + 1
        if x > 1:
            raise ValueError
    except Exception:
        y = y * 2
    return x * y


def in_for_else(x, y):
    for i in range(5):
        if i == y:
            x += 100
            break
    else:
        x += 1000
    return x


def in_nested_conditions(x, y):
    if y and x > 1:
        return x
    if not y or x < 0:
        return -x
    return x * 2 if y != 4 else x * 3


def returned(x, y):
    return y


def in_tuple(x, y):
    pair = (x, y)
    return pair[0] - pair[1]


def in_variable_arguments(x, *values):
    total = x
    for value in values:
        total += value
    return total * len(values)


def with_default(x, y=3):
    if y == 3:
        x += 1
    y = y + 1
    return x * y


def compared_with_none(x, y):
    if y is None:
        return x
    y = y + 1
    return x * y if y is not None else -x


CONSTANT_ARGUMENTS = [
    reassigned_in_while,
    reassigned_in_if,
    reassigned_in_both_branches,
    reassigned_in_loop,
    reassigned_to_another_argument,
    used_in_closure,
    used_in_lambda_after_branch,
    used_in_generator,
    used_in_comprehension,
    used_in_try,
    reassigned_in_try,
    in_for_else,
    in_nested_conditions,
    returned,
    in_tuple,
    in_variable_arguments,
    with_default,
    compared_with_none,
]


@pytest.mark.parametrize("function", CONSTANT_ARGUMENTS, ids=lambda function: function.__name__)
def test_literal_arguments_have_the_results_of_python(function) -> None:
    kernel = zoo.njit(function)
    in_code = zoo.njit(lambda x: (kernel(x, 4), kernel(x, 3), kernel(x, True), kernel(x, False)))
    from_python = zoo.njit(lambda x, y: kernel(x, numba.literally(y)))
    for x in (-1.0, 0.5, 1.5):
        for value, result in zip((4, 3, True, False), in_code(x), strict=True):
            assert kernel(x, value) == result == function(x, value), (x, value)
        for value in (4, True):  # one of each type: four kernels compile for each value
            assert from_python(x, value) == function(x, value), (x, value)
            assert isinstance(from_python.signatures[-1][1], numba.types.Literal)


def test_an_omitted_argument_has_its_default() -> None:
    kernel = zoo.njit(with_default)
    caller = zoo.njit(lambda x: kernel(x))
    assert kernel(1.5) == caller(1.5) == with_default(1.5)


def test_concurrent_first_calls_compile_once() -> None:
    @zoo.njit
    def slow_to_compile(x):
        return np.sort(x)[0] + x[1]  # half a second

    start, results = threading.Barrier(4), []

    def call():
        start.wait()
        results.append(slow_to_compile(np.array([3.0, 4.0])))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [7.0] * 4
    assert len(slow_to_compile.signatures) == 1


def test_numba_dispatcher_can_call_a_kernel() -> None:
    assert scaled(2.0) == 6.0  # from here on, Numba knows zoo's kernels

    @numba.njit
    def outside(x):
        return scaled(x) + 1

    assert outside(2.0) == 7.0
