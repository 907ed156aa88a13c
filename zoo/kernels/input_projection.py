"""Input projection: ``x @ W + b`` for the whole sequence at once, and its gradients.

Tokens stand for one-hot rows: their product is a gather of rows of W, and its gradient a scatter. Only
:func:`to_dense` makes one-hot rows.
"""

from __future__ import annotations

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.jit import njit


@njit(shared=True)
def to_dense(x: Array, size: int, like: Array) -> Array:
    """Dense inputs: x itself if it is ``(T, B, I)``, one-hot rows for tokens ``(T, B)``.

    Args:
        x: Inputs ``(T, B, I)``, or integer tokens ``(T, B)`` below ``size``.
        size: Length of a one-hot row.
        like: An array of the dtype of one-hot rows.

    Returns:
        x, or a new array ``(T, B, size)``.
    """
    if x.ndim == 3:
        return x
    rows = kernels.empty_sequence(x.shape[0], x.shape[1], size, like)
    kernels.fill_zeros(rows)
    for t in range(x.shape[0]):
        for r in range(x.shape[1]):
            rows[t, r, x[t, r]] = 1
    return rows


@njit(shared=True)
def add_column_sums(a: Array, total: Array) -> None:
    """Add every row of ``a (T, B, N)`` to ``total (N,)``, in order: the gradient of a bias."""
    for t in range(a.shape[0]):
        for r in range(a.shape[1]):
            row = a[t, r]
            for n in range(total.size):
                total[n] += row[n]


@njit(shared=True)
def add_weight_gradient(x: Array, grad: Array, dw: Array, adds: bool = True) -> None:
    """Add the gradient of an input weight, the sum of ``x_row.T @ grad_row`` over all steps and rows.

    Args:
        x: Inputs ``(T, B, I)``, or integer tokens ``(T, B)`` below I.
        grad: Gradient ``(T, B, N)`` with respect to the products.
        dw: The sum so far, ``(I, N)``.
        adds: Whether to add; if not, the gradient replaces the values of dw.
    """
    if x.ndim == 2:
        if not adds:
            kernels.fill_zeros(dw)
        for t in range(x.shape[0]):
            for r in range(x.shape[1]):
                target, row = dw[x[t, r]], grad[t, r]
                for n in range(row.size):
                    target[n] += row[n]
    else:
        kernels.add_matmul_ta_offset(
            kernels.as_rows(x), 0, x.shape[2], kernels.as_rows(grad), 0, grad.shape[2], dw, adds
        )


@njit(shared=True)
def project_into(x: Array, weights: Array, b: Array, out: Array) -> None:
    """``out = x @ w + b`` at every step.

    Args:
        x: Inputs ``(T, B, I)``, or integer tokens ``(T, B)`` below I.
        weights: From :func:`zoo.kernels.prepare_input_weights`, of ``w (I, N)``.
        b: Bias ``(N,)``.
        out: The result ``(T, B, N)``.

    Raises:
        ValueError: if the inputs are floats and the weights are a matrix.
    """
    if x.ndim == 3:
        if weights.ndim == 2:  # known when the kernel compiles
            raise ValueError("weights are a matrix; call kernels.prepare_input_weights(x, w) first")
        kernels.affine(kernels.as_rows(x), weights, b, kernels.as_rows(out))
        return
    for t in range(x.shape[0]):
        for r in range(x.shape[1]):
            row, source = out[t, r], weights[x[t, r]]
            for n in range(row.size):
                row[n] = source[n] + b[n]


@njit(shared=True)
def project(x: Array, w: Array, b: Array) -> Array:
    """``x @ w + b`` at every step.

    Args:
        x: Inputs ``(T, B, I)``, or integer tokens ``(T, B)`` below I.
        w: Weights ``(I, N)``.
        b: Bias ``(N,)``.

    Returns:
        A new array ``(T, B, N)``.
    """
    out = kernels.empty_sequence(x.shape[0], x.shape[1], w.shape[1], w)
    project_into(x, kernels.prepare_input_weights(x, w), b, out)
    return out


PROJECTION_ELEMENTS = 1 << 16
"""Elements of the buffer of :func:`projection_buffer`, which stays in the second-level cache."""


@njit
def projection_buffer(x: Array, b: Array) -> Array:
    """A buffer for some steps of projections, for :func:`project_at`.

    Projections of all steps fall out of the cache before their step reads them, and take more memory.

    Args:
        x: Inputs ``(T, B, I)``, or integer tokens ``(T, B)``.
        b: Bias ``(N,)``.

    Returns:
        A new array ``(steps, B, N)``; one step for tokens, whose rows are only copied.
    """
    batch, steps = x.shape[1], 1
    if x.ndim == 3:
        steps = kernels.int_min(PROJECTION_ELEMENTS // kernels.int_max(1, batch * b.size), x.shape[0])
    return kernels.empty((kernels.int_max(1, steps), batch, b.size), b)


@njit
def project_at(buffer: Array, t: int, x: Array, weights: Array, b: Array) -> Array:
    """``x @ w + b`` at step t, which the caller may change.

    Call it for step 0, then 1, and so on: the results of another order are wrong. Dense inputs of all steps
    in the buffer are projected at the first of them, in one product.

    Args:
        buffer: From :func:`projection_buffer`.
        t: The step.
        x: As for :func:`project_into`.
        weights: As for :func:`project_into`.
        b: As for :func:`project_into`.

    Returns:
        A view ``(B, N)`` of ``buffer``.
    """
    if x.ndim == 3:
        number = t % buffer.shape[0]
        if number == 0:
            last = kernels.int_min(t + buffer.shape[0], x.shape[0])
            rows = kernels.rows_of_steps(buffer, 0, last - t)
            kernels.affine(kernels.rows_of_steps(x, t, last), weights, b, rows)
        return kernels.at_step(buffer, number)
    for r in range(x.shape[1]):
        row, source = kernels.row(buffer, r), kernels.row(weights, x[t, r])
        for n in range(b.size):
            row[n] = source[n] + b[n]
    return kernels.at_step(buffer, 0)


@njit(shared=True)
def project_backward(x: Array, w: Array, grad: Array, needs_dx: bool = True) -> tuple[Array, Array, Array]:
    """Gradients of :func:`project`.

    Args:
        x: As for :func:`project`.
        w: As for :func:`project`.
        grad: Gradient ``(T, B, N)`` with respect to its result.
        needs_dx: Whether to compute the gradient with respect to x.

    Returns:
        The gradients with respect to x, w and b. That of x is empty, ``(0, 0, 0)``, for tokens and if it is
        not needed.
    """
    dw, db = kernels.zeros_if(x.ndim == 2, w.shape, w), kernels.zeros((w.shape[1],), w)
    kernels.add_column_sums(grad, db)
    if x.ndim == 2:
        kernels.add_weight_gradient(x, grad, dw)
        return kernels.empty((0, 0, 0), w), dw, db
    features, width = w.shape
    source = kernels.as_rows(grad)
    # Not add_weight_gradient: a kernel between two others is compiled again with the inner one.
    kernels.add_matmul_ta_offset(kernels.as_rows(x), 0, features, source, 0, width, dw, False)
    if not needs_dx:
        return kernels.empty((0, 0, 0), w), dw, db
    dx = kernels.empty_sequence(x.shape[0], x.shape[1], features, w)
    kernels.set_matmul_offset(source, 0, kernels.pack_transposed(w), kernels.as_rows(dx), 0, features)
    return dx, dw, db
