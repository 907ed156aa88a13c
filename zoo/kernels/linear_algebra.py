"""Linear systems and matrix exponentials, for matrices that depend on parameters only (once for a batch).

Numba's ``np.linalg`` needs SciPy's LAPACK, on which zoo does not depend. These kernels compute in float64
whatever the dtype of the layer, and round the result. A result without a correct digit is NaN everywhere.
"""

from __future__ import annotations

import numpy as np

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.jit import EXACT, njit

EPSILON = float(np.finfo(np.float64).eps)
# The Padé approximant of degree 13 (Higham 2005, https://doi.org/10.1137/04061101X), exact to float64 for
# matrices whose 1-norm is at most RADIUS: in rows of four, weights of the identity and of the powers 2, 4
# and 6 of a matrix. The even powers are EVEN_LOW + a6 @ EVEN_HIGH.
ODD_LOW = (32382376266240000.0, 1187353796428800.0, 10559470521600.0, 33522128640.0)
ODD_HIGH = (0.0, 40840800.0, 16380.0, 1.0)
EVEN_LOW = (64764752532480000.0, 7771770303897600.0, 129060195264000.0, 670442572800.0)
EVEN_HIGH = (0.0, 1323241920.0, 960960.0, 182.0)
RADIUS = 5.371920351148152


def _py_factorise(lu: Array, order: Array) -> bool:
    size, largest = len(lu), np.abs(lu).max(axis=0)
    for k in range(size):
        pivot = k + int(np.argmax(np.abs(lu[k:, k])))
        if not np.abs(lu[pivot, k]) > size * EPSILON * largest[k]:
            return False
        lu[[k, pivot]], order[[k, pivot]] = lu[[pivot, k]], order[[pivot, k]]
        lu[k + 1 :, k] /= lu[k, k]
        lu[k + 1 :, k + 1 :] -= np.outer(lu[k + 1 :, k], lu[k, k + 1 :])
    return True


@njit(fastmath=EXACT, python_fallback=_py_factorise)
def factorise(lu: Array, order: Array) -> bool:
    """Replace a float64 matrix by its LU factors with pivoting, L below the diagonal and U above.

    Args:
        lu: ``(n, n)``, overwritten.
        order: ``0, 1, ..., n - 1``; becomes the order of the rows.

    Returns:
        Whether the matrix is regular: each pivot exceeds ``n`` times the rounding error of the largest entry
        in its column.
    """
    size = lu.shape[0]
    largest = np.zeros(size)
    for i in range(size):
        for j in range(size):
            largest[j] = max(largest[j], abs(lu[i, j]))
    for k in range(size):
        pivot = k
        for i in range(k + 1, size):
            if abs(lu[i, k]) > abs(lu[pivot, k]):
                pivot = i
        if not abs(lu[pivot, k]) > size * EPSILON * largest[k]:
            return False
        if pivot != k:
            order[k], order[pivot] = order[pivot], order[k]
            for j in range(size):
                lu[k, j], lu[pivot, j] = lu[pivot, j], lu[k, j]
        for i in range(k + 1, size):
            factor = lu[i, k] / lu[k, k]
            lu[i, k] = factor
            for j in range(k + 1, size):
                lu[i, j] -= factor * lu[k, j]
    return True


def _py_substitute(lu: Array, order: Array, b: Array) -> Array:
    x = b[order]
    for i in range(len(lu)):
        x[i] -= lu[i, :i] @ x[:i]
    for i in range(len(lu) - 1, -1, -1):
        x[i] = (x[i] - lu[i, i + 1 :] @ x[i + 1 :]) / lu[i, i]
    return x


@njit(fastmath=EXACT, python_fallback=_py_substitute)
def substitute(lu: Array, order: Array, b: Array) -> Array:
    """Solve for the columns of ``b (n, m)`` with the factors of a matrix."""
    size, width = b.shape
    x = np.empty((size, width), b.dtype)
    for i in range(size):
        for j in range(width):
            x[i, j] = b[order[i], j]
        for k in range(i):
            for j in range(width):
                x[i, j] -= lu[i, k] * x[k, j]
    for i in range(size - 1, -1, -1):
        for k in range(i + 1, size):
            for j in range(width):
                x[i, j] -= lu[i, k] * x[k, j]
        for j in range(width):
            x[i, j] /= lu[i, i]
    return x


@njit
def cast_into(x: Array, out: Array) -> None:
    """Copy a matrix into another, with a cast to its dtype."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = x[i, j]


@njit(shared=True)
def solve(a: Array, b: Array, out: Array) -> None:
    """Write the solution ``x (n, m)`` of ``a @ x = b`` to ``out``; NaN if ``a (n, n)`` is singular."""
    lu, order = a.astype(np.float64), np.arange(a.shape[0])
    if factorise(lu, order):
        cast_into(substitute(lu, order, b.astype(np.float64)), out)
    else:
        out.fill(np.nan)


def _py_add_product(a: Array, b: Array, c: Array) -> None:
    c += a @ b


@njit(python_fallback=_py_add_product)
def add_product(a: Array, b: Array, c: Array) -> None:
    """``c += a @ b``."""
    kernels.add_matmul(a, kernels.pack(b), c)


@njit
def sum_of_products(a: Array, b: Array, c: Array, d: Array) -> Array:
    """``a @ b + c @ d``."""
    total = np.zeros_like(a)
    add_product(a, b, total)
    add_product(c, d, total)
    return total


@njit
def weighted_sum(weights: tuple[float, ...], a2: Array, a4: Array, a6: Array, diagonal: float) -> Array:
    """The weighted sum of three matrices, plus the first weight times ``diagonal`` on the diagonal."""
    first, second, fourth, sixth = weights
    total = np.empty_like(a2)
    for i in range(a2.shape[0]):
        for j in range(a2.shape[1]):
            total[i, j] = second * a2[i, j] + fourth * a4[i, j] + sixth * a6[i, j]
        total[i, i] += first * diagonal
    return total


@njit
def one_norm(a: Array) -> float:
    """The 1-norm of a matrix, its largest column sum of absolute values; NaN if an entry is."""
    largest = 0.0
    for j in range(a.shape[1]):
        total = 0.0
        for i in range(a.shape[0]):
            total += abs(a[i, j])
        if not total <= largest:
            largest = total
        if total != total:
            break
    return largest


@njit(shared=True)
def expm(a: Array, out: Array) -> None:
    """Write the exponential of ``a (n, n)`` to ``out``, by scaling and squaring.

    NaN if no digit would be correct, which is where the 1-norm is ``1 / EPSILON`` or more.
    """
    expm_or_derivative(a, a, False, out)


@njit(shared=True)
def expm_derivative(a: Array, e: Array, out: Array) -> None:
    """Write the derivative of the exponential at ``a (n, n)`` in direction ``e (n, n)`` to ``out``."""
    expm_or_derivative(a, e, True, out)


@njit(shared=True)
def expm_or_derivative(a: Array, e: Array, is_derivative: bool, out: Array) -> None:
    """Write the matrix exponential or its directional derivative.

    Each line of the exponential is followed by its derivative, with the same scaling. See Al-Mohy & Higham
    2009, https://doi.org/10.1137/080716426. The exponential of ``[[a, e], [0, a]]`` contains the derivative
    too, but takes eight products instead of three, and its scaling depends on the size of the gradient ``e``.
    """
    norm = one_norm(a)
    if not norm * EPSILON < 1.0:
        out.fill(np.nan)
        return
    squarings = 0
    while norm > RADIUS:
        norm *= 0.5
        squarings += 1
    scale = 0.5**squarings
    a, e = a.astype(np.float64) * scale, e.astype(np.float64) * scale
    a2, a4, a6 = np.zeros_like(a), np.zeros_like(a), np.zeros_like(a)
    add_product(a, a, a2)
    add_product(a2, a2, a4)
    add_product(a4, a2, a6)
    odd_high, odd = weighted_sum(ODD_HIGH, a2, a4, a6, 1.0), weighted_sum(ODD_LOW, a2, a4, a6, 1.0)
    even_high, even = weighted_sum(EVEN_HIGH, a2, a4, a6, 1.0), weighted_sum(EVEN_LOW, a2, a4, a6, 1.0)
    add_product(a6, odd_high, odd)
    add_product(a6, even_high, even)
    times_a = np.zeros_like(a)
    add_product(a, odd, times_a)
    lu, order = even - times_a, np.arange(a.shape[0])
    factorise(lu, order)
    r = substitute(lu, order, even + times_a)
    d = r
    if is_derivative:
        e2 = sum_of_products(a, e, e, a)
        e4 = sum_of_products(a2, e2, e2, a2)
        e6 = sum_of_products(a4, e2, e4, a2)
        d_odd = weighted_sum(ODD_LOW, e2, e4, e6, 0.0)
        d_odd += sum_of_products(a6, weighted_sum(ODD_HIGH, e2, e4, e6, 0.0), e6, odd_high)
        d_odd = sum_of_products(a, d_odd, e, odd)
        d_even = weighted_sum(EVEN_LOW, e2, e4, e6, 0.0)
        d_even += sum_of_products(a6, weighted_sum(EVEN_HIGH, e2, e4, e6, 0.0), e6, even_high)
        right = d_even + d_odd
        add_product(d_odd - d_even, r, right)
        d = substitute(lu, order, right)
    for _ in range(squarings):
        if is_derivative:
            d = sum_of_products(r, d, d, r)
        squared = np.zeros_like(r)
        add_product(r, r, squared)
        r = squared
    cast_into(d if is_derivative else r, out)
