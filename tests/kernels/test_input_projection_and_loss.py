"""The input's product with its gradients, and the softmax cross-entropy with its own."""

from __future__ import annotations

from contextlib import nullcontext

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo import kernels

dtypes = st.sampled_from([np.float32, np.float64])
seeds = st.integers(0, 2**32 - 1)
lengths = st.integers(0, 9)
sizes = st.integers(1, 40)


def tolerance(dtype) -> dict[str, float]:
    return {"rtol": 0, "atol": 500 * float(np.finfo(dtype).eps)}


# --- project and project_grads ---


@given(steps=lengths, batch=sizes, features=sizes, width=sizes, dtype=dtypes, seed=seeds)
def test_project_is_a_product_at_every_step(steps, batch, features, width, dtype, seed) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(steps, batch, features)).astype(dtype)
    w, b = rng.normal(size=(features, width)).astype(dtype), rng.normal(size=width).astype(dtype)
    result = kernels.project(x, w, b)
    assert (result.shape, result.dtype) == ((steps, batch, width), dtype)
    np.testing.assert_allclose(result, x @ w + b, **tolerance(dtype))


@given(steps=lengths, batch=sizes, features=sizes, width=sizes, dtype=dtypes, seed=seeds)
def test_project_backward_is_products(steps, batch, features, width, dtype, seed) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(steps, batch, features)).astype(dtype)
    w, grad = (
        rng.normal(size=(features, width)).astype(dtype),
        rng.normal(size=(steps, batch, width)).astype(dtype),
    )
    dx, dw, db = kernels.project_backward(x, w, grad)
    assert {dx.dtype, dw.dtype, db.dtype} == {np.dtype(dtype)}
    bound = tolerance(dtype)
    np.testing.assert_allclose(dx, grad @ w.T, **bound)
    np.testing.assert_allclose(dw, np.einsum("tbi,tbn->in", x, grad), rtol=0, atol=20 * bound["atol"])
    np.testing.assert_allclose(db, grad.sum(axis=(0, 1)), rtol=0, atol=20 * bound["atol"])


@given(steps=lengths, batch=sizes, features=sizes, width=sizes, dtype=dtypes, seed=seeds)
def test_tokens_equal_one_hot_rows(steps, batch, features, width, dtype, seed) -> None:
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, features, (steps, batch), dtype=np.int32)
    w, b = rng.normal(size=(features, width)).astype(dtype), rng.normal(size=width).astype(dtype)
    grad = rng.normal(size=(steps, batch, width)).astype(dtype)
    one_hot = np.eye(features, dtype=dtype)[tokens]
    np.testing.assert_array_equal(kernels.project(tokens, w, b), w[tokens] + b)
    dx, dw, db = kernels.project_backward(tokens, w, grad)
    _, dense_dw, dense_db = kernels.project_backward(one_hot, w, grad)
    assert dx.shape == (0, 0, 0)
    np.testing.assert_allclose(dw, dense_dw, **tolerance(dtype))
    np.testing.assert_array_equal(db, dense_db)


@given(steps=lengths, batch=sizes, features=sizes, width=sizes, dtype=dtypes, seed=seeds)
def test_parts_of_the_gradient(steps, batch, features, width, dtype, seed) -> None:
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, features, (steps, batch), dtype=np.int32)
    grad = rng.normal(size=(steps, batch, width)).astype(dtype)
    start, total = rng.normal(size=(features, width)).astype(dtype), rng.normal(size=width).astype(dtype)
    rows = kernels.to_dense(tokens, features, grad)
    assert rows.dtype == dtype
    np.testing.assert_array_equal(rows, np.eye(features, dtype=dtype)[tokens])
    for x in (tokens, rows, rng.normal(size=rows.shape).astype(dtype)):
        dw = start.copy()
        kernels.add_weight_gradient(x, grad, dw)
        expected = start + np.einsum("tbi,tbn->in", kernels.to_dense(x, features, grad), grad)
        np.testing.assert_allclose(dw, expected, rtol=0, atol=20 * tolerance(dtype)["atol"])
    expected = total.copy()
    for row in grad.reshape(steps * batch, width):
        expected += row
    kernels.add_column_sums(grad, total)
    np.testing.assert_array_equal(total, expected, "added up in the order of the rows")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_to_dense_returns_dense_inputs_unchanged(dtype) -> None:
    x = np.arange(24, dtype=dtype).reshape(3, 2, 4)
    result = kernels.to_dense(x, 4, np.empty(0, dtype))
    np.testing.assert_array_equal(result, x)
    assert np.shares_memory(result, x)


def test_projection_in_pure_python_agrees() -> None:
    rng = np.random.default_rng(0)
    w, b, grad = rng.normal(size=(4, 9)), rng.normal(size=9), rng.normal(size=(3, 2, 9))

    def results(x):
        dw, db = w.copy(), b.copy()
        kernels.add_weight_gradient(x, grad, dw)
        kernels.add_column_sums(grad, db)
        products = [kernels.project(x, w, b), *kernels.project_backward(x, w, grad)]
        return [kernels.to_dense(x, 4, w), dw, db, *products]

    for x in (rng.normal(size=(3, 2, 4)), rng.integers(0, 4, (3, 2))):
        with kernels.pure_python():
            expected = results(x)
        result = results(x)
        for one, other in zip(result, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-13)


# --- The cross-entropy ---


def reference(logits, targets):
    """Sum of the losses and the softmax, in the widest floats and with the textbook's formula."""
    z = logits.astype(np.longdouble)
    z = z - z.max(axis=1, keepdims=True)
    mass = np.exp(z).sum(axis=1, keepdims=True)
    losses = np.log(mass[:, 0]) - z[np.arange(len(z)), targets]
    return losses.sum(), np.exp(z) / mass


@given(
    rows=st.integers(0, 20), symbols=sizes, scale=st.sampled_from([0.1, 1.0, 30.0]), dtype=dtypes, seed=seeds
)
def test_loss_and_gradient(rows: int, symbols: int, scale: float, dtype, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = (scale * rng.normal(size=(rows, symbols))).astype(dtype)
    targets = rng.integers(0, symbols, rows, dtype=np.int32)
    loss, softmax = reference(logits, targets)
    before = logits.copy()
    result = kernels.cross_entropy(logits, targets)
    np.testing.assert_array_equal(logits, before, "the loss alone leaves the logits")
    eps = float(np.finfo(dtype).eps)
    assert result == pytest.approx(float(loss), rel=50 * eps, abs=50 * eps * max(rows, 1) * scale)
    assert kernels.cross_entropy_grad(logits, targets, 0.5) == pytest.approx(result, rel=50 * eps, abs=1e-30)
    expected = softmax - np.eye(symbols)[targets]
    np.testing.assert_allclose(2 * logits, expected.astype(float), rtol=0, atol=100 * eps)
    np.testing.assert_allclose(logits.sum(axis=1), np.zeros(rows), rtol=0, atol=100 * eps)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="nothing here is wider than float64")
@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [0.1, 1.0, 8.0, 80.0])
@pytest.mark.parametrize("symbols", [2, 65, 5000])
def test_softmax_is_accurate_to_a_few_ulp(symbols: int, scale: float, dtype) -> None:
    rng = np.random.default_rng(symbols)
    logits = (scale * (rng.normal(size=(400_000 // symbols, symbols)) + rng.normal())).astype(dtype)
    targets = np.zeros(len(logits), np.int32)  # from whose probability one is subtracted
    _, softmax = reference(logits, targets)
    kernels.cross_entropy_grad(logits, targets, 1.0)
    result, expected = logits[:, 1:].astype(np.longdouble), softmax[:, 1:]
    normal = expected > np.finfo(dtype).tiny
    units = np.spacing(np.where(normal, expected, 1).astype(dtype)).astype(np.longdouble)
    assert (np.abs(result - expected) / units)[normal].max() < 4


def test_gradient_matches_finite_differences() -> None:
    rng = np.random.default_rng(1)
    logits, targets = rng.normal(size=(4, 6)), rng.integers(0, 6, 4)
    grad = logits.copy()
    kernels.cross_entropy_grad(grad, targets, 0.25)
    step = 1e-6
    for place in np.ndindex(logits.shape):
        ends = []
        for sign in (1, -1):
            moved = logits.copy()
            moved[place] += sign * step
            ends.append(0.25 * kernels.cross_entropy(moved, targets))
        assert grad[place] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-8)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # plain NumPy warns, compiled code does not
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("largest", ["1e4", "max"])
def test_huge_logits_do_not_overflow(dtype, largest: str) -> None:
    huge = dtype(1e4) if largest == "1e4" else np.finfo(dtype).max
    logits = np.array([[huge, 0, -huge], [-huge, -huge, -huge], [huge, huge, 0], [0, huge, 0]], dtype)
    targets = np.array([0, 1, 0, 1], np.int32)
    assert kernels.cross_entropy(logits, targets) == pytest.approx(np.log(3) + np.log(2), rel=1e-6)
    kernels.cross_entropy_grad(logits, targets, 1.0)
    third, half = 1 / 3, 1 / 2
    expected = np.array([[0, 0, 0], [third, third - 1, third], [-half, half, 0], [0, 0, 0]])
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-6)


def test_target_of_zero_probability_has_infinite_loss() -> None:
    logits = np.array([[0.0, -np.inf, 0.0]], np.float32)
    assert kernels.cross_entropy(logits, np.array([0])) == pytest.approx(np.log(2), rel=1e-6)
    assert kernels.cross_entropy(logits, np.array([1])) == np.inf
    kernels.cross_entropy_grad(logits, np.array([0]), 1.0)
    np.testing.assert_allclose(logits, [[-0.5, 0, 0.5]], rtol=1e-6)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("row", [[np.nan, 0, 1], [0, 1, np.nan], [0, np.inf, 1], [-np.inf] * 3], ids=str)
def test_rows_without_softmax_have_nan_loss(row) -> None:
    logits, targets = np.array([[0, 1, 2], row], np.float32), np.array([0, 0])
    assert np.isnan(kernels.cross_entropy(logits, targets))
    assert np.isnan(kernels.cross_entropy_grad(logits, targets, 1.0))
    assert np.isfinite(logits[0]).all(), "the other row is untouched by it"
    assert np.isnan(logits[1]).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_row_and_one_symbol(dtype) -> None:
    logits, targets = np.array([[3.5]], dtype), np.array([0])
    assert kernels.cross_entropy(logits, targets) == 0
    assert kernels.cross_entropy_grad(logits, targets, 2.0) == 0
    np.testing.assert_array_equal(logits, [[0]])


def test_targets_of_any_integer_type() -> None:
    logits = np.array([[0.5, 2.0]])
    losses = {kernels.cross_entropy(logits, np.array([1], kind)) for kind in ("uint8", "int32", "int64")}
    assert len(losses) == 1


@pytest.mark.parametrize("python", [False, True])
def test_weights_that_are_not_prepared_raise(python: bool) -> None:
    x, w, b, out = np.ones((2, 3, 4)), np.ones((4, 5)), np.zeros(5), np.empty((2, 3, 5))
    with (
        kernels.pure_python() if python else nullcontext(),
        pytest.raises(ValueError, match=r"call kernels.prepare_input_weights\(x, w\) first"),
    ):
        kernels.project_into(x, w, b, out)


@given(
    steps=st.integers(0, 60),
    batch=st.integers(1, 20),
    width=st.sampled_from([1, 33, 1500, 20_000]),
    python=st.booleans(),
    dense=st.booleans(),
)
def test_projections_step_by_step(steps: int, batch: int, width: int, python: bool, dense: bool) -> None:
    """They equal those of all steps, also if the caller changes them, and whatever the buffer holds."""
    if python and not dense and width > 1000:
        return  # plain Python takes long
    rng = np.random.default_rng(steps)
    shape = (steps, batch, 3) if dense else (steps, batch)
    x = rng.normal(size=shape) if dense else rng.integers(0, 3, shape).astype(np.int32)
    w, b = rng.normal(size=(3, width)), rng.normal(size=width)
    expected = kernels.project(x, w, b)
    with kernels.pure_python() if python else nullcontext():
        weights = kernels.prepare_input_weights(x, w)
        buffer = kernels.projection_buffer(x, b)
        assert 1 <= len(buffer) <= max(1, steps)
        assert buffer.size <= max(1 << 16, batch * width)
        for t in range(steps):
            step = kernels.project_at(buffer, t, x, weights, b)
            np.testing.assert_allclose(step, expected[t], rtol=1e-12, atol=1e-12)
            step[...] = np.nan
