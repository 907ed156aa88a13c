"""A correct cell with one of each thing that may be declared, its kernels in plain NumPy."""

from __future__ import annotations

import numpy as np

import zoo


def rotations(rng, shape, cell):
    """Complex numbers of the magnitude that the cell's option says."""
    return cell.radius * np.exp(2j * np.pi * rng.random(shape))


class Rich(zoo.Cell):
    """``z' = D z + x W dt``, ``h' = tanh(Re z' + h A + n mod 2)``, ``n' = n + 1``."""

    card = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")
    radius = zoo.Option(0.5, help="magnitude of D at first", low=0.0)
    W = zoo.Param("I", "H", init="glorot_uniform", help="input to memory")
    D = zoo.Param("H", init=rotations, complex=True, help="memory to itself")
    A = zoo.Buffer("H", "H", init="orthogonal", help="hidden to hidden, fixed")
    h = zoo.State("H", help="the output")
    z = zoo.State("H", complex=True, help="memory")
    n = zoo.State(1, discrete=True, help="steps so far")
    dt = zoo.Input(default=1.0, help="time since the last step")

    def step(self, x, h, z, n, dt):
        z = self.D * z + x @ self.W * dt
        return np.tanh(z.real + h @ self.A + n % 2), z, n + 1

    @staticmethod
    def forward(params, x, state, inputs, radius):
        (W, D, A), (h, z, n), (dt,) = params, state, inputs
        y, zs = np.empty((*x.shape[:2], len(A)), W.dtype), np.empty((len(x), *z.shape), W.dtype)
        for t in range(len(x)):
            a = (W[x[t]] if x.ndim == 2 else x[t] @ W) * dt[t][:, None]
            z = np.stack([D[0] * z[:, 0] - D[1] * z[:, 1] + a, D[0] * z[:, 1] + D[1] * z[:, 0]], axis=1)
            y[t] = h = np.tanh(z[:, 0] + h @ A + n % 2)
            zs[t], n = z, n + 1
        return y, (h.copy(), z.copy(), n.copy()), (y.copy(), zs)

    @staticmethod
    def backward(params, x, state, inputs, tape, dy, dlast, radius):
        (W, D, A), (y, zs), (dt,), (dh, dz, dn) = params, tape, inputs, dlast
        dx = np.zeros((0, 0, 0) if x.ndim == 2 else x.shape, W.dtype)
        dW, dD = np.zeros_like(W), np.zeros_like(D)
        for t in range(len(x) - 1, -1, -1):
            da = (dh + dy[t]) * (1 - y[t] ** 2)
            dh, (p, q), before = da @ A.T, (dz[:, 0] + da, dz[:, 1]), zs[t - 1] if t else state[1]
            dD += [(p * before[:, 0] + q * before[:, 1]).sum(0), (q * before[:, 0] - p * before[:, 1]).sum(0)]
            dz = np.stack([p * D[0] + q * D[1], q * D[0] - p * D[1]], axis=1)
            if x.ndim == 2:
                np.add.at(dW, x[t], p * dt[t][:, None])
            else:
                dW += x[t].T @ (p * dt[t][:, None])
                dx[t] = (p * dt[t][:, None]) @ W.T
        return dx, (dh.copy(), dz.copy(), np.zeros_like(dn)), (dW, dD)
