"""The unitary evolution RNN."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]
# Added under the root of a modulus, which is then at least 1e-5 and has a derivative at zero.
TINY = 1e-10


def fourier(rng: np.random.Generator, shape: Shape) -> Array:
    """The symmetric matrix of the unitary discrete Fourier transform."""
    k = np.arange(shape[0])
    return np.exp(-2j * np.pi * (np.outer(k, k) % shape[0]) / shape[0]) / math.sqrt(shape[0])


def permutation(rng: np.random.Generator, shape: Shape) -> Array:
    """A random permutation matrix."""
    return rng.permutation(np.eye(shape[0]))


def glorot(rng: np.random.Generator, shape: Shape) -> Array:
    """Complex, both parts uniform, with the variance of Glorot's rule for rows of 2H real numbers."""
    limit = math.sqrt(6 / (shape[0] + 2 * shape[1]))
    parts = rng.uniform(-limit, limit, (2, *shape))
    return parts[0] + 1j * parts[1]


def phases(rng: np.random.Generator, shape: Shape) -> Array:
    """Uniform around the circle."""
    return rng.uniform(-math.pi, math.pi, shape)


def nearly_zero(rng: np.random.Generator, shape: Shape) -> Array:
    """Uniform within 0.01 of zero."""
    return rng.uniform(-0.01, 0.01, shape)


def reflect(z: Array, v: Array) -> Array:
    """Reflect the vector z at the hyperplane that is orthogonal to v."""
    return z - (2 * np.sum(z * np.conj(v)) / np.sum(v.real**2 + v.imag**2)) * v


class URNN(zoo.Cell):
    """Unitary evolution RNN: complex units whose unitary recurrent matrix keeps the size of the state.

    The matrix is a product of eight factors that are unitary by construction. They have 7H trained numbers in
    place of H². The nonlinearity acts on the modulus of a unit and keeps its phase.

    Equations, where ``a v*`` is the sum of the products of a and the conjugate of v, and F^-1 is the
    conjugate of F::

        a  = (h * exp(i w1)) F
        a  = ((a - 2 (a v1*) v1 / |v1|²) P) * exp(i w2)
        a  = a F^-1
        a  = (a - 2 (a v2*) v2 / |v2|²) * exp(i w3)
        z  = a + x Wx
        h' = relu(|z| + b) z / |z|,    |z| = sqrt(Re(z)² + Im(z)² + 1e-10)
        y  = [Re(h'), Im(h')]

    The parameter ``w (3, H)`` has the rows w1, w2 and w3, which start uniform around the circle. ``v (2, H)``
    is complex and has the rows v1 and v2, and ``Wx (I, H)`` is complex. The real and imaginary parts of both
    start uniform within ``sqrt(6 / (rows + 2H))`` of zero. ``b (H,)`` starts uniform within 0.01 of zero. The
    buffers are ``F (H, H)``, the complex discrete Fourier transform divided by ``sqrt(H)``, and ``P (H, H)``,
    a random permutation matrix. The state ``h (H,)`` is complex. The output ``y`` is real and has size 2H:
    first the real parts, then the imaginary parts.

    Equations and initial values come from ``complex_RNN`` in https://github.com/amarshah/complex_RNN, which
    uses a fast Fourier transform. Here the transform is a product with a matrix, so a step takes H²
    operations in place of H log H.
    """

    name = "urnn"
    family = "classic"
    card = zoo.Card(
        title="Unitary Evolution Recurrent Neural Networks",
        authors="Martin Arjovsky, Amar Shah, Yoshua Bengio",
        year=2015,
        url="https://arxiv.org/abs/1511.06464",
        variant="W = D3 R2 F^-1 D2 P R1 F D1 with modReLU, as in the paper and in the official code.",
        deviations="The first state is zero and is not trained. The official code divides by |z| + 1e-5. "
        "Here a small number is under the root, so that the step is exactly unitary if b = 0. The vectors v "
        "are those in the paper, and the official code uses their conjugates. The biases start as in the "
        "official code, and in the paper they start at zero.",
        history="Arjovsky, Shah and Bengio published it in 2015. A unitary matrix has eigenvalues of modulus "
        "one, so it neither amplifies nor shrinks gradients. Full-capacity unitary RNNs (Wisdom and others, "
        "2016) showed that the product of factors cannot represent every unitary matrix for more than 7 "
        "units, and proposed a form that can. EUNN (Jing and others, 2016) made the capacity tunable.",
        when_to_use="Use it where a network must keep information unchanged over hundreds of steps, such as "
        "the copying task, on which the paper introduced it. It cannot forget by its matrix, so it is a "
        "poor choice where old inputs must be dropped. The recurrent matrix has few parameters, but a step "
        "here costs two products with complex H × H matrices and one with a permutation matrix, and the "
        "output has size 2H.",
        related={
            "irnn": "only starts with eigenvalues of one.",
            "lru": "has complex eigenvalues inside the unit circle and no nonlinearity in the recurrence.",
            "exp_rnn": "has an orthogonal matrix with all H (H - 1) / 2 degrees of freedom.",
        },
    )
    w = zoo.Param("3", "H", init=phases, help="phases of the three diagonal matrices")
    v = zoo.Param("2", "H", init=glorot, complex=True, help="normals of the two reflections, of any length")
    Wx = zoo.Param("I", "H", init=glorot, complex=True, help="input to hidden")
    b = zoo.Param("H", init=nearly_zero, help="added to the modulus of a unit")
    F = zoo.Buffer("H", "H", init=fourier, complex=True, help="unitary discrete Fourier transform")
    P = zoo.Buffer("H", "H", init=permutation, help="permutation matrix")
    h = zoo.State("H", complex=True, help="complex hidden units")

    def step(self, x: Array, h: Array) -> zoo.Output:
        a = reflect((h * np.exp(1j * self.w[0])) @ self.F, self.v[0])
        a = (a @ self.P) * np.exp(1j * self.w[1])
        a = reflect(a @ np.conj(self.F), self.v[1]) * np.exp(1j * self.w[2])
        z = a + x @ self.Wx
        modulus = np.sqrt(z.real**2 + z.imag**2 + TINY)
        h = z * (zoo.relu(modulus + self.b) / modulus)
        return zoo.Output(np.concatenate([h.real, h.imag]), h)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the unitary evolution RNN."""
    register(URNN)
