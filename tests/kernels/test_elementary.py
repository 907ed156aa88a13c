"""Elementary functions: how far from the truth, at every magnitude, and whether they vectorise."""

from __future__ import annotations

import platform
import re
from decimal import Decimal, localcontext

import numba
import numpy as np
import pytest

import zoo
from zoo import kernels

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")

# --- Kernels over a row, and the truth in a wider type ---


@zoo.njit
def exp_row(x, y):
    for i in range(x.size):
        y[i] = kernels.exp(x[i])


@zoo.njit
def tanh_row(x, y):
    for i in range(x.size):
        y[i] = kernels.tanh(x[i])


@zoo.njit
def sigmoid_row(x, y):
    for i in range(x.size):
        y[i] = kernels.sigmoid(x[i])


@zoo.njit
def log_row(x, y):
    for i in range(x.size):
        y[i] = kernels.log(x[i])


@zoo.njit
def log1p_row(x, y):
    for i in range(x.size):
        y[i] = kernels.log1p(x[i])


@zoo.njit
def softplus_row(x, y):
    for i in range(x.size):
        y[i] = kernels.softplus(x[i])


def true_sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def true_softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


FUNCTIONS = {
    "exp": (exp_row, np.exp),
    "tanh": (tanh_row, np.tanh),
    "sigmoid": (sigmoid_row, true_sigmoid),
    "log": (log_row, np.log),
    "log1p": (log1p_row, np.log1p),
    "softplus": (softplus_row, true_softplus),
}
# In units of the distance to the next number; measured over every float32:
# 1.05, 2.34, 2.49, 0.86, 1.39, 1.68. None turns back anywhere, either.
BOUNDS = {"exp": 1.1, "tanh": 2.4, "sigmoid": 2.6, "log": 1.0, "log1p": 1.5, "softplus": 1.8}
WIDER = {np.float32: np.float64, np.float64: np.longdouble}
needs_long_double = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 60, reason="this machine has nothing wider than float64"
)
DTYPES = [np.float32, pytest.param(np.float64, marks=needs_long_double)]


def row(kernel, x):
    y = np.empty_like(x)
    kernel(x, y)
    return y


def every_exponent(dtype, count=200_000):
    """Numbers of every exponent and sign, subnormal ones included, and denser where the functions move."""
    facts = np.finfo(dtype)
    unsigned = {np.float32: np.uint32, np.float64: np.uint64}[dtype]
    rng = np.random.default_rng(5)
    exponents = rng.permutation(np.arange(count // 2, dtype=unsigned) % unsigned(2 * facts.maxexp - 1))
    mantissas = rng.integers(0, 2**facts.nmant, count // 2, dtype=unsigned)
    spread = (exponents << unsigned(facts.nmant) | mantissas).view(dtype)
    limit = 1.05 * np.log(facts.max)
    dense = np.linspace(-limit, limit, count // 4, dtype=dtype)
    denser = np.linspace(-3, 3, count // 4, dtype=dtype)
    x = np.concatenate([spread, -spread, dense, denser])
    assert np.isfinite(x).all()
    assert (np.abs(x) < facts.tiny).sum() > 50, "subnormal numbers take part"
    return x


def distance(result, expected, dtype):
    """Errors in units of the distance between neighbours of ``dtype`` at the expected value."""
    facts = np.finfo(dtype)
    _, exponent = np.frexp(expected)
    step = np.ldexp(np.ones_like(expected), np.maximum(exponent, facts.minexp + 1) - 1 - facts.nmant)
    return np.abs(result.astype(expected.dtype) - expected) / step


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_at_every_magnitude(name: str, dtype) -> None:
    kernel, exact = FUNCTIONS[name]
    x = every_exponent(dtype)
    result = row(kernel, x)
    with np.errstate(all="ignore"):
        expected = exact(x.astype(WIDER[dtype]))
        rounded = expected.astype(dtype)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(result[~finite], rounded[~finite], "overflows where the true value does")
    errors = distance(result[finite], expected[finite], dtype)
    worst = errors.argmax()
    assert errors[worst] < BOUNDS[name], f"{name}({x[finite][worst]!r}) is {errors[worst]} units off"


def test_reference_values_are_correct() -> None:
    # The references above come from libm: here from Python's decimal arithmetic, to 80 digits.
    for x in [-87.3, -20.25, -1.5, -1e-3, 1e-8, 0.34657359, 0.7, 5.75, 80.0]:
        with localcontext() as context:
            context.prec = 80
            e = Decimal(x).exp()
            values = {"exp": e, "tanh": (e * e - 1) / (e * e + 1), "sigmoid": e / (1 + e)}
            values |= {"log": abs(Decimal(x)).ln(), "log1p": (1 + abs(Decimal(x))).ln()}
            values |= {"softplus": (1 + e).ln()}
        for name, value in values.items():
            result = row(FUNCTIONS[name][0], np.array([abs(x) if name.startswith("log") else x]))
            expected = np.array([float(value)])
            # One unit more: a float64 reference is itself rounded.
            assert distance(result, expected, np.float64)[0] <= BOUNDS[name] + 1, (name, x)


def one_in(stride):
    """Every so manieth float32, in order: all exponents, both signs, infinities, no NaN."""
    positive = np.arange(0, np.float32(np.inf).view(np.int32) + 1, stride, dtype=np.int32).view(np.float32)
    return np.concatenate([-positive[::-1], positive, [np.float32(np.inf)]])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_at_one_float32_in_a_thousand(name: str) -> None:
    kernel, exact = FUNCTIONS[name]
    x = one_in(1021)
    x = x[x >= {"log": 0, "log1p": -1}.get(name, -np.inf)]
    result = row(kernel, x)
    with np.errstate(all="ignore"):
        expected = exact(x.astype(np.float64))
        rounded = expected.astype(np.float32)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(result[~finite], rounded[~finite])
    worst = distance(result[finite], expected[finite], np.float32).max()
    assert worst < BOUNDS[name], f"{name} is {worst} units off"
    assert (result[:-1] <= result[1:]).all(), f"{name} turns back"


def seams():
    """Points where formulas change: ends of reduction, roots of 1/2, saturation, overflow, thresholds."""
    halves = (np.arange(-1080, 1081) + 0.5) * np.log(2)
    roots = np.ldexp(np.sqrt(0.5), np.arange(-90, 9))
    places = [
        0.0,
        0.5 * np.log(2),
        9.2,
        17.3,
        19.2,
        40.0,
        60.0,
        88.72,
        87.34,
        103.97,
        104.0,
        709.78,
        745.13,
        746.0,
    ]
    signed = np.concatenate([halves, halves / 2, roots - 1, places])
    return np.unique(np.concatenate([signed, -signed, roots]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_monotone_across_range_reduction_seams(name: str, dtype) -> None:
    integer = {np.float32: np.int32, np.float64: np.int64}[dtype]
    centres = seams()
    centres = centres[(np.abs(centres) < 800) & (np.abs(centres) > 1e-30)].astype(dtype)
    steps = np.arange(-300, 301, dtype=integer)
    x = np.sort((centres.view(integer)[:, None] + steps).view(dtype), axis=1)
    x = x[(x >= {"log": 0, "log1p": -1}.get(name, -np.inf)).all(axis=1)]
    result = row(FUNCTIONS[name][0], x.ravel()).reshape(x.shape)
    assert len(x) > 1000
    assert (result[:, :-1] <= result[:, 1:]).all(), (
        f"{name} turns back at {x[(result[:, :-1] > result[:, 1:]).any(axis=1)]}"
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_monotone_everywhere(name: str, dtype) -> None:
    x = np.sort(np.unique(every_exponent(dtype)))
    x = np.repeat(x[x >= {"log": 0, "log1p": -1}.get(name, -np.inf)], 2)
    x[1::2] = np.nextafter(x[1::2], dtype(np.inf))  # neighbours too: between strangers nothing happens
    result = row(FUNCTIONS[name][0], x)
    assert (result[:-1] <= result[1:]).all(), f"{name} turns back"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values(dtype) -> None:
    facts = np.finfo(dtype)
    tiny = facts.smallest_subnormal
    x = np.array([0.0, -0.0, tiny, -tiny, np.inf, -np.inf, facts.max, -facts.max], dtype)
    np.testing.assert_array_equal(row(exp_row, x), np.array([1, 1, 1, 1, np.inf, 0, np.inf, 0], dtype))
    np.testing.assert_array_equal(row(tanh_row, x), np.array([0, 0, tiny, -tiny, 1, -1, 1, -1], dtype))
    np.testing.assert_array_equal(row(sigmoid_row, x), np.array([0.5] * 4 + [1, 0, 1, 0], dtype))
    two = np.log(dtype(2))
    np.testing.assert_array_equal(
        row(softplus_row, x), np.array([two] * 4 + [np.inf, 0, facts.max, 0], dtype)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values_of_logarithms(dtype) -> None:
    facts = np.finfo(dtype)
    tiny, nan, inf = facts.smallest_subnormal, np.nan, np.inf
    x = np.array([0, -0.0, 1, -tiny, -1, -inf, inf, nan, tiny, facts.tiny, facts.max], dtype)
    result = row(log_row, x)
    np.testing.assert_array_equal(result[:8], [-inf, -inf, 0, nan, nan, nan, inf, nan])
    np.testing.assert_array_max_ulp(result[8:], np.log(x[8:].astype(np.float64)).astype(dtype), 1)
    x = np.array([0, -0.0, -1, np.nextafter(dtype(-1), dtype(-2)), -inf, inf, nan, tiny, -tiny], dtype)
    np.testing.assert_array_equal(
        row(log1p_row, x), np.array([0, 0, -inf, nan, nan, inf, nan, tiny, -tiny], dtype)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_stays_nan_and_no_other_input_gives_nan(name: str, dtype) -> None:
    integer = {np.float32: np.int32, np.float64: np.int64}[dtype]
    payloads = np.array([1, 2**20, -1, -(2**20)], integer)  # quiet and signalling, of either sign
    nan = (np.array([np.inf], dtype).view(integer) | payloads).view(dtype)
    others = [1, 2, 1e30, 1e-30] if name.startswith("log") else [1, -1, 1e30, -1e30]
    x = np.resize(np.concatenate([nan, np.array(others, dtype)]), 100)
    assert np.isnan(x).sum() == 52
    np.testing.assert_array_equal(np.isnan(row(FUNCTIONS[name][0], x)), np.isnan(x))


@pytest.mark.parametrize("name", ["exp", "tanh", "sigmoid", "softplus"])
def test_saturates_exactly(name: str) -> None:
    x = np.linspace(40, 700, 1000)
    if name != "exp":
        assert (row(FUNCTIONS[name][0], x) == (x if name == "softplus" else 1)).all()
    assert (row(FUNCTIONS[name][0], -2 * x[x > 380]) == (-1 if name == "tanh" else 0)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_python_calls_are_numpy(dtype) -> None:
    for value in map(dtype, [-1000, -2.5, 0, 0.25, 1000]):
        with np.errstate(over="ignore", under="ignore"):
            assert kernels.exp(value) == np.exp(value)
        assert kernels.tanh(value) == np.tanh(value)
        assert kernels.sigmoid(value) == pytest.approx(0.5 + 0.5 * np.tanh(value / 2), abs=1e-7)
        assert kernels.softplus(value) == pytest.approx(np.logaddexp(dtype(0), value), rel=1e-6)
        assert {type(getattr(kernels, name)(value)) for name in FUNCTIONS} == {dtype}
    assert all(np.isnan(getattr(kernels, name)(dtype(np.nan))) for name in FUNCTIONS)


def test_python_logarithms_raise_no_numpy_warnings() -> None:
    for value in map(np.float32, [0.25, 3, np.inf]):
        assert kernels.log(value) == np.log(value)
        assert kernels.log1p(value) == np.log1p(value)
    assert kernels.log(np.float32(0)) == kernels.log1p(np.float32(-1)) == -np.inf
    assert np.isnan([kernels.log(np.float32(-1)), kernels.log1p(np.float32(-2))]).all()
    assert kernels.log(2.0) == np.log(2.0)


@zoo.njit
def exp_diff_row(x, y, z):
    for i in range(x.size):
        z[i] = kernels.exp_diff(x[i], y[i])


@needs_long_double
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [0.01, 1, 30, 1e6])
def test_exp_diff_corrects_rounding_of_the_difference(scale: float, dtype) -> None:
    rng = np.random.default_rng(3)
    x = (scale * rng.normal(size=100_000)).astype(dtype)
    y = (x + rng.uniform(-20, 20, x.size)).astype(dtype)
    z = np.empty_like(x)
    exp_diff_row(x, y, z)
    expected = np.exp(x.astype(np.longdouble) - y.astype(np.longdouble))
    assert distance(z, expected, dtype).max() < 1.3
    by_python = [kernels.exp_diff(*pair) for pair in zip(x[:1000], y[:1000], strict=True)]
    assert distance(np.array(by_python), expected[:1000], dtype).max() < 4, "NumPy's own exp is two units off"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exp_diff_special_values(dtype) -> None:
    inf, nan, most = np.inf, np.nan, np.finfo(dtype).max
    x = np.array([inf, -inf, 0, 0, inf, -inf, nan, 0, most, -most, most, 0.0], dtype)
    y = np.array([0, 0, inf, -inf, inf, -inf, 0, nan, -most, most, most, 0.0], dtype)
    z = np.empty_like(x)
    exp_diff_row(x, y, z)
    expected = np.array([inf, 0, 0, inf, nan, nan, nan, nan, inf, 0, 1, 1], dtype)
    np.testing.assert_array_equal(z, expected)
    np.testing.assert_array_equal([kernels.exp_diff(*pair) for pair in zip(x, y, strict=True)], expected)


@pytest.mark.parametrize("argument", [1, True, 1j])
def test_elementary_functions_reject_integers(argument) -> None:
    @zoo.njit
    def of(x):
        return kernels.tanh(x)

    with pytest.raises(numba.TypingError, match="tanh"):
        of(argument)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly")
@pytest.mark.parametrize(("dtype", "packed"), [(np.float32, "ps"), (np.float64, "pd")])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_loops_vectorise(name: str, dtype, packed: str) -> None:
    kernel = FUNCTIONS[name][0]
    row(kernel, np.zeros(64, dtype))  # teaches Numba what it needs to know
    # Compiled here and now: Numba shows no code that it has loaded from a file.
    kernel = numba.njit(**kernel.options)(kernel.py_func)
    row(kernel, np.zeros(64, dtype))
    (assembly,) = kernel.inspect_asm().values()
    # Products of whole registers in the polynomial, fused or not.
    products = re.findall(rf"\bv?(?:fn?madd\d*|mul){packed}\s", assembly)
    assert len(products) >= 6, f"{name} of {dtype.__name__} does not vectorise"


@zoo.njit
def int_bounds(a, b):
    return kernels.int_min(a, b), kernels.int_max(a, b), kernels.int_min(5, b), kernels.int_max(a, -5)


@pytest.mark.parametrize(("a", "b"), [(3, 7), (7, 3), (-2, -9), (4, 4)])
def test_smaller_and_larger_integer(a: int, b: int) -> None:
    expected = min(a, b), max(a, b), min(5, b), max(a, -5)
    assert int_bounds(a, b) == expected
    with kernels.pure_python():
        assert int_bounds(a, b) == expected


def test_smaller_number_is_for_integers_of_one_type() -> None:
    with pytest.raises(numba.TypingError):
        int_bounds(1.0, 2.0)
