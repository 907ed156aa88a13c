"""Initial values and option defaults of every shipped cell, as its reference states them.

Written from the official code or the paper, not from zoo's cells. ``DRAWN`` entries are compared with draws
of the official code by ``tests/golden/check_cell_initial_values.py``. ``OFFICIAL`` ones were read in the code
of the link, at its newest commit in November 2026. ``STATED`` ones are what the linked paper or program is
known to state, not read again. ``CHOSEN`` ones have no reference that states initial values, and are what the
cell's docstring states. ``deviation`` names a declared difference from the link. The distributions are then
those of the card or docstring, and ``official`` has those of the link.

A distribution takes ``n``, which holds ``I``, ``H`` and the options of the cell, and draws of one array.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from initial_distributions import (
    Distribution,
    columns,
    constant,
    each,
    exact,
    identity,
    normal,
    orthonormal,
    spectral_radius,
    through,
    truncated_normal,
    uniform,
)

Sizes = Any
DistributionOf = Callable[[Sizes], Distribution]
DRAWN, OFFICIAL = "official code, run", "official code, read"
STATED, CHOSEN = "stated by the reference, not read again", "zoo's choice"


@dataclass(frozen=True)
class Expected:
    """Initial values and options of one cell according to a reference.

    Args:
        arrays: Distribution of each parameter and buffer.
        options: Default of each option.
        source: Link to what states it; empty for zoo's choice.
        kind: How it is known.
        deviation: What is on purpose not as in the link.
        official: Distributions of the official code where zoo has another one; None for an array that it does
            not have.
        official_options: Defaults of the official code where zoo has another one.
    """

    arrays: Mapping[str, Callable[[Sizes], Distribution]]
    options: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    kind: str = CHOSEN
    deviation: str = ""
    official: Mapping[str, DistributionOf | None] = field(default_factory=dict)
    official_options: Mapping[str, Any] = field(default_factory=dict)


# --- Distributions of several cells. Fans are those of the matrix that the reference draws as one. ---


def zeros(n: Sizes) -> Distribution:
    """Zero."""
    return constant(0)


def ones(n: Sizes) -> Distribution:
    """One."""
    return constant(1)


def within(limit: Callable[[Sizes], float]) -> Callable[[Sizes], Distribution]:
    """Uniform within a limit of zero."""
    return lambda n: uniform(-limit(n), limit(n))


def glorot(fans: Callable[[Sizes], float]) -> Callable[[Sizes], Distribution]:
    """Uniform with variance ``2 / fans``, of the sum of both fans."""
    return within(lambda n: math.sqrt(6 / fans(n)))


def small_glorot(fans: Callable[[Sizes], float]) -> Callable[[Sizes], Distribution]:
    """Glorot's distribution times ``2 ** -2.5``."""
    return glorot(lambda n: 2**5 * fans(n))


def scaled(std: Callable[[Sizes], float]) -> Callable[[Sizes], Distribution]:
    """Normal with a standard deviation."""
    return lambda n: normal(std(n))


def orthogonal(parts: int = 1) -> Callable[[Sizes], Distribution]:
    """Orthonormal rows or columns, gate by gate."""
    return lambda n: columns(*[orthonormal()] * parts)


by_hidden = within(lambda n: 1 / math.sqrt(n.H))  # PyTorch's recurrent layers
by_inputs = within(lambda n: 1 / math.sqrt(n.I))  # PyTorch's nn.Linear
by_hidden_rows = within(lambda n: 1 / math.sqrt(n.H))  # nn.Linear that reads hidden units
by_both = within(lambda n: 1 / math.sqrt(n.I + n.H))  # nn.Linear that reads inputs and hidden units


def inverse_softplus_of_steps(low: float, high: float) -> Distribution:
    """Values whose softplus is log-uniform."""
    return through(lambda v: np.log(np.log1p(np.exp(v))), uniform(math.log(low), math.log(high)))


def steps_between(n: Sizes) -> Distribution:
    """Log-uniform between the options, kept as logarithms."""
    return uniform(math.log(n.dt_min), math.log(n.dt_max))


def chrono(sign: int) -> Callable[[Sizes], Distribution]:
    """Plus or minus the logarithm of a uniform number between one and the longest time."""
    return lambda n: through(lambda v: np.exp(sign * v), uniform(1, n.t_max))


def chosen(recurrent: str = "orthogonal", gates: Mapping[str, int] | None = None, **others: Any) -> Expected:
    """The initial values of most gated cells of zoo: Glorot inputs, orthogonal gates, zero biases."""
    distributions: dict[str, Callable[[Sizes], Distribution]] = {}
    for name, count in (gates or {}).items():
        if name in ("Wx", "Wp"):
            distributions[name] = glorot(lambda n, count=count: n.I + count * n.H)
        elif name.startswith("b"):
            distributions[name] = zeros
        else:
            assert recurrent == "orthogonal"
            distributions[name] = orthogonal(count)
    return Expected(distributions | others.pop("more", {}), **others)


def lstm_like(**more: Any) -> Expected:
    """The initial values of the LSTMs: PyTorch's uniform ones, but for the biases."""
    arrays = {"Wx": by_hidden, "Wh": by_hidden, "b": zeros, **more.pop("arrays", {})}
    link = "https://github.com/pytorch/pytorch/blob/main/torch/nn/modules/rnn.py"
    options, kind = {"forget_bias": 0.0} | more.pop("options", {}), more.pop("kind", STATED)
    return Expected(arrays, options, link, kind, **more)


# --- Values that are not drawn ---


def legendre_memory(n: Sizes) -> tuple[np.ndarray, np.ndarray]:
    """A and B of the Legendre memory unit, for columns, held for one step."""
    q = np.arange(n.order)[:, None]
    scale = (2 * q + 1) / n.theta
    i, j = np.meshgrid(q, q, indexing="ij")
    a = scale * np.where(i < j, -1.0, (-1.0) ** (i - j + 1))
    b = scale * (-1.0) ** q
    block = np.block([[a, b], [np.zeros((1, n.order + 1))]])
    total, term, halvings = np.eye(n.order + 1), np.eye(n.order + 1), 10
    for k in range(1, 30):
        term = term @ block / 2**halvings / k
        total = total + term
    for _ in range(halvings):
        total = total @ total
    return total[:-1, :-1], total[:-1, -1]


def hippo_poles(n: Sizes) -> np.ndarray:
    """Eigenvalues of HiPPO-N of one block with negative imaginary part, ascending, for each block."""
    size = n.order // n.blocks
    p = np.sqrt(1 + 2 * np.arange(size))
    a = -(np.tril(np.outer(p, p)) - np.diag(np.arange(size)))  # HiPPO-LegS
    root = np.sqrt(np.arange(size) + 0.5)
    normal_part = a + np.outer(root, root)
    values = np.linalg.eigvals(normal_part)
    kept = values[values.imag < 0]
    return np.tile(kept[np.argsort(kept.imag)], n.blocks)


def rwkv_place(size: int) -> np.ndarray:
    """``i / size`` for each feature."""
    return np.arange(size) / size


def rwkv_line(n: Sizes) -> np.ndarray:
    """Values from zero to one along the units."""
    return np.arange(n.H) / (n.H - 1)


def rwkv_zigzag(n: Sizes) -> np.ndarray:
    """Values from -1 to 1 along each head, squared, with the sign."""
    line = np.linspace(-1, 1, n.H // n.heads)
    return np.tile(line * abs(line), n.heads)


def off_diagonal(distribution: Distribution) -> Distribution:
    """A distribution of the entries off the diagonal, which is zero."""

    def check(draws: np.ndarray) -> None:
        on_diagonal = np.eye(draws.shape[-1], dtype=bool)
        constant(0)(draws[:, on_diagonal])
        distribution(draws[:, ~on_diagonal])

    return check


def uniform_parts(*limits: float) -> Distribution:
    """Uniform around zero, each matrix within its own limit."""

    def check(draws: np.ndarray) -> None:
        for part, limit in enumerate(limits):
            uniform(-limit, limit)(draws[:, part])

    return check


def orthogonal_parts(*scales: float) -> Distribution:
    """Matrices with orthogonal rows or columns of the lengths given."""

    def check(draws: np.ndarray) -> None:
        for part, scale in enumerate(scales):
            orthonormal(scale)(draws[:, part])

    return check


def poles_of_ring(n: Sizes) -> Distribution:
    """Rows nu, theta, gamma: radii uniform in area, phases uniform, gamma from the radii."""

    def check(draws: np.ndarray) -> None:
        nu, theta, gamma = draws[:, 0], draws[:, 1], draws[:, 2]
        radius = np.exp(-np.exp(nu))
        uniform(n.r_min**2, n.r_max**2)(radius**2)
        uniform(0, n.max_phase)(np.exp(theta))
        np.testing.assert_allclose(gamma, np.log(np.sqrt(1 - radius**2)), rtol=1e-9, atol=1e-12)

    return check


def poles_of_oscillators(n: Sizes) -> Distribution:
    """Rows s, stiffness and damping: poles of the upper half of a ring, uniform in area and phase."""

    def check(draws: np.ndarray) -> None:
        s, stiffness, damping = draws[:, 0], draws[:, 1], draws[:, 2]
        normal(0.5)(s)
        dt = 1 / (1 + np.exp(-s))
        shrink = 1 + dt * damping
        entries = [[1 / shrink, -dt * stiffness / shrink], [dt / shrink, 1 - dt**2 * stiffness / shrink]]
        poles = np.linalg.eigvals(np.moveaxis(np.array(entries), (0, 1), (-2, -1)))
        upper = poles[poles.imag > 0]
        assert upper.size == s.size
        uniform(n.r_min**2, n.r_max**2)(abs(upper) ** 2)
        uniform(0, n.max_phase)(np.angle(upper))

    return check


def polarities(n: Sizes) -> Distribution:
    """Minus one with a chance of a third, else one."""

    def check(draws: np.ndarray) -> None:
        assert set(np.unique(draws)) == {-1.0, 1.0}
        assert abs((draws < 0).mean() - 1 / 3) < 5 * math.sqrt(2 / 9 / draws.size)

    return check


def permutation(n: Sizes) -> Distribution:
    """A permutation matrix, not the identity."""

    def check(draws: np.ndarray) -> None:
        for matrix in draws:
            assert set(np.unique(matrix)) == {0.0, 1.0}
            assert (matrix.sum(0) == 1).all()
            assert (matrix.sum(1) == 1).all()
            assert not np.array_equal(matrix, np.eye(len(matrix)))

    return check


def positive_with_unit_norm(n: Sizes) -> Distribution:
    """``(1 + R^T R / H)`` divided by its largest eigenvalue, R normal (Talathi & Vartak 2016)."""

    def spectra(matrices: Any) -> np.ndarray:
        return np.linalg.eigvalsh(np.array(matrices))

    rng = np.random.default_rng(0)
    drawn = [r.T @ r / n.H + np.eye(n.H) for r in rng.normal(size=(40, n.H, n.H))]
    expected = spectra([matrix / np.linalg.eigvalsh(matrix)[-1] for matrix in drawn])

    def check(draws: np.ndarray) -> None:
        actual = spectra(draws)
        np.testing.assert_allclose(draws, draws.swapaxes(1, 2), atol=1e-12)
        np.testing.assert_allclose(actual[:, -1], 1, atol=1e-9)
        np.testing.assert_allclose(actual.mean(0), expected.mean(0), rtol=0.06)

    return check


def diagonal_of_unit_norm(n: Sizes) -> Distribution:
    """The diagonal of ``(1 + R^T R / H)`` divided by its largest eigenvalue."""
    rng = np.random.default_rng(0)
    drawn = [r.T @ r / n.H + np.eye(n.H) for r in rng.normal(size=(40, n.H, n.H))]
    expected = np.mean([np.diag(matrix) / np.linalg.eigvalsh(matrix)[-1] for matrix in drawn])

    def check(draws: np.ndarray) -> None:
        assert ((draws > 0) & (draws < 1)).all()
        np.testing.assert_allclose(draws.mean(), expected, rtol=0.03)

    return check


def gamma_variates(shapes: Callable[[Sizes], np.ndarray]) -> Callable[[Sizes], Distribution]:
    """Gamma variates with the given shape parameters and scale one: their root, mean and square."""

    def moment(shape: float, power: float) -> float:
        return math.gamma(shape + power) / math.gamma(shape)

    def distribution(n: Sizes) -> Distribution:
        def check(draws: np.ndarray) -> None:
            of_entries = shapes(n)
            assert (draws[:, of_entries == 0] == 0).all()
            for shape in map(float, np.unique(of_entries[of_entries > 0])):
                group = draws[:, of_entries == shape]
                for power in (0.5, 1.0, 2.0):
                    expected = moment(shape, power)
                    error = math.sqrt((moment(shape, 2 * power) - expected**2) / group.size)
                    assert abs((group**power).mean() - expected) < 5 * error, (shape, power)

        return check

    return distribution


def excitatory_first(count: Callable[[Sizes], int]) -> Callable[[Sizes], Distribution]:
    """One for the first units, minus one for the others."""
    return lambda n: exact(np.where(np.arange(n.H) < count(n), 1.0, -1.0))


def synaptic_weights(n: Sizes) -> np.ndarray:
    """Shape parameters of the weights between units, of which the last fifth is inhibitory."""
    inhibitory = np.arange(n.H) >= round(n.excitatory * n.H)
    shapes = np.where(inhibitory[:, None] | inhibitory, 0.2, 0.1)
    return shapes * (1 - np.eye(n.H))


def sparse_reservoir(n: Sizes) -> Distribution:
    """A reservoir of a spectral radius, with a share of nonzero entries."""

    def check(draws: np.ndarray) -> None:
        np.testing.assert_allclose(np.abs(np.linalg.eigvals(draws)).max(axis=-1), n.radius, rtol=1e-9)
        np.testing.assert_allclose((draws != 0).mean(), n.density, rtol=0.1)
        fourth_moment = (draws**4).mean() / (draws**2).mean() ** 2 * n.density  # 3 for normal numbers
        np.testing.assert_allclose(fourth_moment, 3, rtol=0.1)

    return check


def stacked_reservoirs(n: Sizes) -> Distribution:
    """Reservoirs that have the spectral radius together with their leak."""
    return lambda draws: spectral_radius(n.radius)(
        (1 - n.leak) * np.eye(draws.shape[-1]) + n.leak * draws.reshape(-1, *draws.shape[-2:])
    )


def sparse_signs(n: Sizes) -> Distribution:
    """Plus or minus the scale, with a share of nonzero entries."""

    def check(draws: np.ndarray) -> None:
        assert set(np.unique(draws)) == {-n.scale, 0.0, n.scale}
        np.testing.assert_allclose([(draws > 0).mean(), (draws < 0).mean()], n.density / 2, rtol=0.15)

    return check


def difference_with_transpose(n: Sizes) -> Distribution:
    """Differences of two uniform numbers."""

    def check(draws: np.ndarray) -> None:
        np.testing.assert_array_equal(draws, -draws.swapaxes(1, 2))
        rows, columns = np.triu_indices(n.H, 1)
        np.testing.assert_allclose(draws[:, rows, columns].var(), 2 / 3 * n.recurrent_scale**2, rtol=0.05)

    return check


def rotations_of_pairs(n: Sizes) -> Distribution:
    """Angles of pairs of neighbours, uniform within pi of zero."""

    def check(draws: np.ndarray) -> None:
        first = np.arange(0, n.H, 2)
        uniform(-math.pi, math.pi)(draws[:, first, first + 1])
        draws = draws.copy()
        draws[:, first, first + 1] = 0
        assert not draws.any()

    return check


def skew_rotations_of_pairs(n: Sizes) -> Distribution:
    """The same angles, with the opposite ones below the diagonal."""

    def check(draws: np.ndarray) -> None:
        np.testing.assert_array_equal(draws, -draws.swapaxes(1, 2))
        rotations_of_pairs(n)(np.triu(draws))

    return check


def identity_of_first_gate(n: Sizes) -> Distribution:
    """The identity for the first of four gates, and zero for the others."""

    def check(draws: np.ndarray) -> None:
        assert draws.shape[1:] == (n.H, 4 * n.H)
        exact(np.eye(n.H, 4 * n.H))(draws)

    return check


def scaled_complex(variance: float) -> Distribution:
    """Complex with the variance given in all, in equal parts."""

    def check(draws: np.ndarray) -> None:
        assert np.iscomplexobj(draws)
        total = float((np.abs(draws) ** 2).mean())
        assert abs(total / variance - 1) < 0.03, (total, variance)
        assert abs(draws.real.var() / draws.imag.var() - 1) < 0.06

    return check


def preconditioner(lowest: float) -> dict[str, DistributionOf]:
    """Arrays of the gates of the preconditioners of flash-linear-attention."""
    return {
        "bg": lambda n: inverse_softplus_of_steps(0.001, 0.1),
        "Ag": lambda n: through(np.exp, uniform(lowest, 16)),
        "centre": lambda n: constant(-0.2),
    }


FLA_LAYERS = "https://github.com/fla-org/flash-linear-attention/blob/main/fla/layers/"
# The low-rank forget gate of Kimi delta attention, of rank H / heads.
KIMI_GATE: dict[str, Callable[[Sizes], Distribution]] = {
    "Wr": within(lambda n: (n.H / n.heads) ** -0.5),
    "b": lambda n: inverse_softplus_of_steps(0.001, 0.1),
    "A": lambda n: through(np.exp, uniform(1, 16)),
}
# Weights and biases of ParaGRU and ParaLSTM.
PARA_RNN: dict[str, Callable[[Sizes], Distribution]] = {
    "Wx": glorot(lambda n: n.I + n.H),
    "a": scaled(lambda n: 2 / math.sqrt(5 * n.H)),
    "b": lambda n: exact(np.concatenate([-np.linspace(0, 1, n.H), np.zeros(2 * n.H)])),
}
RWKV5_MODEL = "https://github.com/BlinkDL/RWKV-LM/blob/main/RWKV-v5/src/model.py"
RWKV_DEVIATION = (
    "The projection out starts at zero there, and heads have size 64. The gain of the norm starts at a "
    "smaller number in lower layers, at 0.5**0.7 in the first of two."
)
# Parts of RWKV-5 and RWKV-6.
RWKV_MEMORY: dict[str, Callable[[Sizes], Distribution]] = {
    "Wx": lambda n: orthogonal_parts(1.0, 0.1, 1.0, 0.1),
    "w": lambda n: exact(-6 + 5 * rwkv_line(n) ** 0.7),
    "u": lambda n: exact(0.1 * np.array([(i + 1) % 3 - 1 for i in range(n.H)])),
    "gain": ones,
    "bias": zeros,
    "Wo": orthogonal(),
}
# Official distributions of the first of two layers of RWKV-5 and RWKV-6.
RWKV_FIRST_OF_TWO: dict[str, DistributionOf] = {"Wo": zeros, "gain": lambda n: constant(0.5**0.7)}
TORCHRECURRENT = "https://github.com/MartinuzziFrancesco/torchrecurrent"

EXPECTED: dict[str, Expected] = {
    "abc": Expected(
        {"Wx": by_inputs, "Ws": by_inputs, "gain": ones, "Wo": by_hidden_rows},
        {"heads": 1, "slots": 64},
        FLA_LAYERS + "abc.py",
        DRAWN,
        "Its default is four heads. Its models have 64 slots.",
        official_options={"heads": 4},
    ),
    "adex": Expected(
        {"Wx": scaled(lambda n: math.sqrt(2 / n.H)), "Wh": scaled(lambda n: math.sqrt(2 / n.H))},
        {
            "dt": 0.001,
            "tau_mem": 0.01,
            "tau_syn": 0.005,
            "tau_ada": 0.5,
            "sharpness": 0.5,
            "threshold": 1.0,
            "coupling": 4.0,
            "jump": 0.02,
            "surrogate": "fast_sigmoid",
            "slope": 1.0,
        },
        "https://github.com/norse/norse/blob/main/norse/torch/functional/lif_adex.py",
        DRAWN,
        "The diagonal of the recurrent weights starts and stays at zero there. Here it has no effect.",
        official={"Wh": lambda n: off_diagonal(normal(math.sqrt(2 / n.H)))},
    ),
    "adlif": Expected(
        {
            "Wx": by_inputs,
            "Wh": orthogonal(),
            "alpha": lambda n: uniform(math.exp(-1 / 5), math.exp(-1 / 25)),
            "beta": lambda n: uniform(math.exp(-1 / 30), math.exp(-1 / 120)),
            "a": lambda n: uniform(-1, 1),
            "b": lambda n: uniform(0, 2),
        },
        {"threshold": 1.0, "surrogate": "boxcar", "slope": 1.0},
        "https://github.com/idiap/sparch/blob/main/sparch/models/snns.py",
        DRAWN,
    ),
    "al_rnn": Expected(
        {
            "A": diagonal_of_unit_norm,
            "Wh": scaled(lambda n: 0.01),
            "b": zeros,
            "Wx": glorot(lambda n: n.I + n.H),
            "last": lambda n: exact(np.where(np.arange(n.H) < n.H - n.rectified, 0.0, 1.0)),
        },
        {"rectified": 2},
        "https://github.com/DurstewitzLab/ALRNN-DSR/blob/main/alrnn_python/AL-RNN_tutorial.ipynb",
        DRAWN,
        "There is no external input there, and the class computes which units are the last.",
        official={"Wx": None, "last": None},
    ),
    "alif": Expected(
        {"Wx": scaled(lambda n: n.I**-0.5), "Wh": scaled(lambda n: n.H**-0.5)},
        {
            "tau": 20.0,
            "tau_b": 200.0,
            "threshold": 0.01,
            "beta": 1.6,
            "surrogate": "triangle",
            "slope": 1.0,
            "scale": 0.3,
        },
        "https://github.com/IGITUGraz/LSNN-official/blob/master/lsnn/spiking_models.py",
        DRAWN,
    ),
    "alpha": Expected(
        {"Wx": by_inputs, "Wh": by_hidden, "b": by_hidden},
        {"alpha": 0.9, "beta": 0.8, "threshold": 1.0, "surrogate": "arctan", "slope": 2.0},
        "https://github.com/jeshraghian/snntorch/blob/master/snntorch/_neurons/alpha.py",
        DRAWN,
        "The decays have no default there. There are no recurrent weights, and the bias is that of the "
        "nn.Linear in front of the units.",
        official={"Wh": None, "b": by_inputs},
    ),
    "antisymmetric": Expected(
        {"Wx": scaled(lambda n: n.I**-0.5), "U": scaled(lambda n: n.H**-0.5), "b": zeros},
        {"eps": 0.01, "gamma": 0.01},
        "https://arxiv.org/abs/1902.09689",
        STATED,
    ),
    "atr": Expected(
        {"Wx": glorot(lambda n: n.I + n.H), "Wh": glorot(lambda n: 2 * n.H), "b": zeros},
        source="https://github.com/bzhangGo/ATR/blob/master/lm/pytorch-lm/rnn/atr.py",
        kind=DRAWN,
        deviation="The authors draw all parameters within 0.08 of zero.",
        official=dict.fromkeys(("Wx", "Wh", "b"), within(lambda n: 0.08)),
    ),
    "based": Expected(
        {"Wx": by_inputs},
        {"heads": 1, "rank": 16},
        FLA_LAYERS + "based.py",
        DRAWN,
        "Its default is 12 heads.",
        official_options={"heads": 12},
    ),
    "brc": Expected(
        {"Wx": glorot(lambda n: n.I + n.H), "w": ones, "b": zeros},
        source="https://github.com/nvecoven/BRC/blob/master/cells/cells.py",
        kind=DRAWN,
    ),
    "brf": Expected(
        {
            "Wx": glorot(lambda n: n.I + 2 * n.H),
            "Wh": glorot(lambda n: 2 * n.H),
            "omega": lambda n: uniform(5, 10),
            "damping": lambda n: uniform(0, 1),
        },
        {"dt": 0.01, "surrogate": "double_gaussian", "slope": 2.0, "scale": 0.5},
        "https://github.com/AdaptiveAILab/brf-neurons/blob/main/snn/models/resonaternns.py",
        DRAWN,
        "Wx and Wh are one matrix there, of I + 2H inputs and outputs.",
        official={"Wh": glorot(lambda n: n.I + 2 * n.H)},
    ),
    "cfc": Expected(
        {
            "Wx": glorot(lambda n: n.I + n.units),
            "Wh": glorot(lambda n: n.H + n.units),
            "b": zeros,
            "Wv": glorot(lambda n: n.units + n.H),
            "bv": zeros,
        },
        {"units": 128},
        "https://github.com/mlech26l/ncps/blob/master/ncps/torch/cfc_cell.py",
        DRAWN,
        "Biases there are those of nn.Linear, and Wx and Wh are drawn as one matrix of I + H rows.",
        official={
            "Wx": glorot(lambda n: n.I + n.H + n.units),
            "Wh": glorot(lambda n: n.I + n.H + n.units),
            "b": by_both,
            "bv": within(lambda n: n.units**-0.5),
        },
    ),
    "cfn": Expected(
        {
            "Wx": within(lambda n: 0.07),
            "Wh": within(lambda n: 0.07),
            "b": lambda n: columns(constant(1), constant(-1)),
        },
        source="https://arxiv.org/abs/1612.06212",
        kind=STATED,
    ),
    "cifg_lstm": Expected(
        {"Wx": by_hidden, "Wh": by_hidden, "b": zeros},
        {"forget_bias": 0.0},
        "https://github.com/tensorflow/tensorflow/blob/r1.15/tensorflow/contrib/rnn/python/ops/rnn_cell.py",
        OFFICIAL,
        "The initial values here are those of lstm. There both matrices are one of I + H rows, Glorot "
        "uniform, and forget_bias is 1.",
        dict.fromkeys(("Wx", "Wh"), glorot(lambda n: n.I + 4 * n.H)),
        {"forget_bias": 1.0},
    ),
    "clockwork": Expected({"Wx": by_hidden, "Wh": by_hidden, "b": by_hidden}, {"groups": 4}),
    "comba": Expected(
        {
            **dict.fromkeys(("Wx", "Wb", "Wa"), by_inputs),
            "ba": lambda n: inverse_softplus_of_steps(0.001, 0.1),
            "A": lambda n: through(np.exp, uniform(0, 16)),
            "s": ones,
            "d": ones,
        },
        {"heads": 1},
        FLA_LAYERS + "comba.py",
        DRAWN,
        "Its default is six heads of size 256.",
        official_options={"heads": 6},
    ),
    "cornn": Expected(
        {
            "Wx": within(lambda n: (n.I + 2 * n.H) ** -0.5),
            "Wz": within(lambda n: (2 * n.H) ** -0.5),
            "Wy": within(lambda n: (2 * n.H) ** -0.5),
            "b": within(lambda n: (2 * n.H) ** -0.5),
        },
        {"dt": 0.042, "gamma": 2.7, "epsilon": 4.7},
        "https://github.com/tk-rusch/coRNN/blob/master/sMNIST/network.py",
        DRAWN,
        "There all of it is one layer of I + 2H inputs, within 1 / sqrt(I + 2H) of zero.",
        dict.fromkeys(("Wz", "Wy", "b"), within(lambda n: (n.I + 2 * n.H) ** -0.5)),
    ),
    "ctrnn": Expected(
        {
            "Wx": glorot(lambda n: n.I + n.H),
            "Wh": orthogonal(),
            "b": zeros,
            "s": lambda n: through(
                lambda v: np.log(n.tau_min + np.log1p(np.exp(v))),
                uniform(math.log(n.tau_min), math.log(10 * n.tau_min)),
            ),
        },
        {"tau_min": 1.0},
    ),
    "damped_linoss": Expected(
        {
            "oscillators": poles_of_oscillators,
            "B": lambda n: each(uniform(-(n.I**-0.5), n.I**-0.5)),
            "C": lambda n: each(uniform(-(n.H**-0.5), n.H**-0.5)),
            "D": scaled(lambda n: n.I**-0.5),
        },
        {"r_min": 0.9, "r_max": 1.0, "max_phase": math.pi},
        "https://github.com/jaredbmit/damped-linoss/blob/main/src/damped_linoss/models/LinOSS.py",
        OFFICIAL,
        "D is a diagonal there, with variance one.",
    ),
    "deep_esn": Expected(
        {
            "Wo": zeros,
            **dict.fromkeys(("Wx", "Wl", "b"), within(lambda n: n.scale)),
            "Wh": stacked_reservoirs,
        },
        {"layers": 4, "leak": 1.0, "radius": 0.9, "scale": 0.1},
        "https://github.com/lucapedrelli/DeepESN",
        DRAWN,
        "The readout there does not read the input, and its example has five layers.",
        official={"Wo": None},
        official_options={"layers": 5},
    ),
    "delta_net": Expected(
        {"Wx": glorot(lambda n: n.I + 3 * n.H), "Wb": glorot(lambda n: n.I + n.heads)},
        {"heads": 1, "negative_eigenvalues": False},
    ),
    "dendritic_plrnn": Expected(
        {
            "Wh": positive_with_unit_norm,
            "alpha": within(lambda n: n.bases**-0.5),
            "theta": scaled(lambda n: 1.0),
            "bias": by_hidden,
            "Wx": glorot(lambda n: n.I + n.H),
        },
        {"bases": 5, "clipped": False},
        "https://github.com/DurstewitzLab/dendPLRNN/blob/main/BPTT_TF/bptt/PLRNN_model.py",
        DRAWN,
        "There is no external input there.",
        official={"Wx": None},
    ),
    "dsgu": chosen(gates={"Wx": 2, "Wg": 1, "Wo": 1, "Wh": 1, "b": 2}),
    "ei_rnn": Expected(
        {
            "Wx": by_inputs,
            "Wh": lambda n: (
                lambda draws: (
                    uniform(-(n.H**-0.5) * 13 / 51, n.H**-0.5 * 13 / 51)(draws[:, :51]),
                    uniform(-(n.H**-0.5), n.H**-0.5)(draws[:, 51:]),
                )
            ),
            "b": by_hidden,
            "sign": excitatory_first(lambda n: int(0.8 * n.H)),
        },
        {"alpha": 0.2, "excitatory": 0.8},
        "https://github.com/gyyang/nn-brain/blob/master/EI_RNN.ipynb",
        DRAWN,
        "The projected input has a bias of its own there.",
    ),
    "elstm": Expected(
        {
            "Wx": lambda n: columns(normal(0.1), normal(0.1), by_hidden(n)),
            "b": lambda n: columns(normal(0.1), normal(0.1), by_hidden(n)),
            "u": scaled(lambda n: 0.1),
            "Wc": by_hidden,
        },
        {"forget_bias": 0.0},
        "https://github.com/IDSIA/rtrl-elstm/blob/main/reinforcement_learning/torchbeast/layer.py",
        DRAWN,
        "The output gate there is one nn.Linear of I + H inputs.",
        official={
            "Wx": lambda n: columns(normal(0.1), normal(0.1), by_both(n)),
            "b": lambda n: columns(normal(0.1), normal(0.1), by_both(n)),
            "Wc": by_both,
        },
    ),
    "es2n": Expected(
        {"Wo": zeros, "Wx": sparse_signs, "Wh": sparse_reservoir, "Q": orthogonal()},
        {"proximity": 0.2, "radius": 0.8, "density": 0.1, "scale": 1.0},
        "https://github.com/reservoirpy/reservoirpy/blob/master/reservoirpy/nodes/es2n.py",
        DRAWN,
        "Proximity and radius are 1 there by default. These are its example's. The readout is another node "
        "there, so there is no Wo.",
        official={"Wo": None},
        official_options={"proximity": 1.0, "radius": 1.0},
    ),
    "esn": Expected(
        {
            "Wo": zeros,
            "Wx": within(lambda n: n.scale),
            "b": within(lambda n: n.scale),
            "Wh": lambda n: spectral_radius(n.radius),
        },
        {"leak": 0.3, "radius": 1.25, "density": 1.0, "scale": 0.5},
        "https://mantas.info/code/simple_esn/",
        STATED,
    ),
    "eusn": Expected(
        {
            "Wo": zeros,
            "Wx": within(lambda n: n.scale),
            "Wh": difference_with_transpose,
            "b": within(lambda n: n.scale),
        },
        {"eps": 0.01, "gamma": 0.001, "recurrent_scale": 1.0, "scale": 1.0},
        "https://github.com/gallicch/EulerStateNetworks/blob/main/euler.py",
        DRAWN,
        "The readout there does not read the input.",
        official={"Wo": None},
    ),
    "exp_rnn": Expected(
        {"A": rotations_of_pairs, "Wx": scaled(lambda n: math.sqrt(2 / n.I)), "b": within(lambda n: 0.01)},
        {"map": "expm"},
        "https://github.com/Lezcano/expRNN/blob/master/orthogonal.py",
        DRAWN,
        "A is skew-symmetric there, and only the part above its diagonal counts.",
        {"A": skew_rotations_of_pairs},
    ),
    "fastgrnn": Expected(
        {
            "Wx": scaled(lambda n: 0.1),
            "Wh": scaled(lambda n: 0.1),
            "b": ones,
            "scale": lambda n: exact(np.array([1.0, -4.0])),
        },
        source="https://github.com/microsoft/EdgeML/blob/master/pytorch/edgeml_pytorch/graph/rnn.py",
        kind=DRAWN,
    ),
    "fastrnn": Expected(
        {
            "Wx": scaled(lambda n: 0.1),
            "Wh": scaled(lambda n: 0.1),
            "b": ones,
            "alpha": lambda n: constant(-3),
            "beta": lambda n: constant(3),
        },
        source="https://github.com/microsoft/EdgeML/blob/master/pytorch/edgeml_pytorch/graph/rnn.py",
        kind=DRAWN,
    ),
    "gated_antisymmetric": Expected(
        {"Wx": scaled(lambda n: n.I**-0.5), "U": scaled(lambda n: n.H**-0.5), "b": zeros},
        {"eps": 0.01, "gamma": 0.01},
        "https://arxiv.org/abs/1902.09689",
        STATED,
    ),
    "gated_delta_net": Expected(
        {
            "Wx": glorot(lambda n: n.I + 3 * n.H),
            "Wb": glorot(lambda n: n.I + n.heads),
            "Wa": glorot(lambda n: n.I + n.heads),
            "ba": lambda n: inverse_softplus_of_steps(0.001, 0.1),
            "A": lambda n: through(np.exp, uniform(0, 16)),
        },
        {"heads": 1, "negative_eigenvalues": False},
        "https://github.com/fla-org/flash-linear-attention/blob/main/fla/layers/gated_deltanet.py",
        DRAWN,
        "Projections there start as nn.Linear, and in its models as they choose. Its default is six heads of "
        "size 256.",
        dict.fromkeys(("Wx", "Wb", "Wa"), by_inputs),
        {"heads": 6},
    ),
    "gated_delta_net2": Expected(
        dict.fromkeys(("Wx", "We", "Ww", "Wa"), by_inputs) | KIMI_GATE,
        {"heads": 1, "negative_eigenvalues": False},
        FLA_LAYERS + "gdn2.py",
        DRAWN,
        "Its default is 16 heads of size 128.",
        official_options={"heads": 16},
    ),
    "gated_delta_product": Expected(
        {
            **dict.fromkeys(("Wq", "Wk", "Wv", "Wb", "Wa"), by_inputs),
            "ba": lambda n: inverse_softplus_of_steps(0.001, 0.1),
            "A": lambda n: through(np.exp, uniform(0, 16)),
        },
        {"corrections": 2, "heads": 1, "negative_eigenvalues": True},
        FLA_LAYERS + "gated_deltaproduct.py",
        DRAWN,
        "Its default is six heads of size 256.",
        official_options={"heads": 6},
    ),
    "gla": Expected(
        {
            "Wx": by_inputs,
            "Wa": by_inputs,
            "Wr": within(lambda n: n.rank**-0.5),
            "b": zeros,
            "gain": ones,
            "Wo": by_hidden_rows,
        },
        {"heads": 1, "rank": 16, "tau": 16.0},
        "https://github.com/fla-org/flash-linear-attention/blob/main/fla/layers/gla.py",
        DRAWN,
        "Its layer starts the bias of the gate as nn.Linear, and its models set it to zero. Its default is "
        "four heads.",
        {"b": within(lambda n: n.rank**-0.5)},
        {"heads": 4},
    ),
    "gru": chosen(gates={"Wx": 3, "Wh": 3, "b": 3, "bn": 1}),
    "gru_ode": Expected(
        {
            "Wx": glorot(lambda n: n.I + 3 * n.H),
            "Wh": glorot(lambda n: 2 * n.H),
            "Wn": glorot(lambda n: 2 * n.H),
            "b": lambda n: constant(0.05),
        },
        {"steps": 1},
        "https://github.com/edebrouwer/gru_ode_bayes/blob/master/gru_ode_bayes/models.py",
        DRAWN,
    ),
    "gru_reset_before": chosen(gates={"Wx": 3, "Wh": 2, "Wn": 1, "b": 3}),
    "gsa": Expected(
        {"Wx": by_inputs, "Wf": by_inputs, "gain": ones, "Wo": by_hidden_rows},
        {"heads": 1, "slots": 64, "tau": 8.0},
        FLA_LAYERS + "gsa.py",
        DRAWN,
        "Its default is four heads. Its models have 64 slots.",
        official_options={"heads": 4},
    ),
    "hgrn": Expected(
        {"Wx": by_inputs, "b": zeros},
        {"lower_bound": 0.0},
        "https://github.com/Doraemonzzz/hgru-pytorch/blob/main/hgru/hgrureal1d.py",
        DRAWN,
        "The bias there is that of nn.Linear, within 1 / sqrt(I) of zero.",
        {"b": by_inputs},
    ),
    "hgrn2": Expected(
        {"Wx": by_inputs, "gain": ones, "Wo": by_hidden_rows},
        {"heads": 1, "lower_bound": 0.0},
        FLA_LAYERS + "hgrn2.py",
        DRAWN,
        "Its default is heads of size 128.",
    ),
    "indrnn": Expected(
        {"Wx": by_inputs, "u": lambda n: uniform(0, 1), "b": zeros},
        {"activation": "relu"},
        "https://github.com/Sunnydreamrain/IndRNN_pytorch/blob/master/pixelMNIST/Indrnn_plainnet.py",
        DRAWN,
        "The input weights here are PyTorch's. Networks there draw them with the variance 2 / (65 I), and "
        "draw the recurrent weights again, between 0 and 5**(1 / 784) for 784 time steps.",
        {"Wx": within(lambda n: math.sqrt(6 / (65 * n.I)))},
    ),
    "indy_lstm": Expected(
        {"Wx": glorot(lambda n: n.I + 4 * n.H), "u": lambda n: uniform(-1, 1), "b": zeros},
        {"forget_bias": 1.0},
        "https://github.com/tensorflow/tensorflow/blob/r1.15/tensorflow/contrib/rnn/python/ops/rnn_cell.py",
        OFFICIAL,
    ),
    "intersection_rnn": Expected(
        {
            "Wp": glorot(lambda n: n.I + n.H),
            "bp": zeros,
            "Wx": glorot(lambda n: 5 * n.H),
            "Wh": orthogonal(4),
            "b": zeros,
        },
        {"forget_bias": 1.0},
    ),
    "irnn": Expected(
        {"Wx": scaled(lambda n: 0.001), "Wh": lambda n: identity(1), "b": zeros},
        {"scale": 1.0},
        "https://arxiv.org/abs/1504.00941",
        STATED,
    ),
    "izhikevich": Expected(
        {"Wx": scaled(lambda n: math.sqrt(2 / n.H)), "Wh": scaled(lambda n: math.sqrt(2 / n.H))},
        {
            "dt": 0.25,
            "a": 0.02,
            "b": 0.2,
            "reset": -65.0,
            "d": 6.0,
            "surrogate": "fast_sigmoid",
            "slope": 1.0,
        },
        "https://github.com/norse/norse/blob/main/norse/torch/functional/izhikevich.py",
        DRAWN,
        "The diagonal of the recurrent weights starts and stays at zero there. Here it has no effect.",
        official={"Wh": lambda n: off_diagonal(normal(math.sqrt(2 / n.H)))},
    ),
    "janet": Expected(
        {
            "Wx": glorot(lambda n: n.I + 2 * n.H),
            "Wh": glorot(lambda n: 3 * n.H),
            "b": lambda n: columns(chrono(1)(n), constant(0)),
        },
        {"beta": 1.0, "t_max": 200.0},
        "https://github.com/JosvanderWesthuizen/janet/blob/master/aux_code/rnn_cells.py",
        DRAWN,
    ),
    "kalman_delta": Expected(
        dict.fromkeys(("Wx", "Wa", "Wn", "Wo"), by_inputs)
        | KIMI_GATE
        | dict.fromkeys(("Ws", "bn", "bo"), zeros)
        | {"prior": lambda n: through(lambda v: np.log1p(np.exp(v)) + 0.1, constant(1))},
        {"heads": 1},
        "https://github.com/ngocbh/kalman-delta-networks",
        OFFICIAL,
        "Its default is 18 heads of size 128, and bo starts as a bias of nn.Linear.",
    ),
    "kda": Expected(
        dict.fromkeys(("Wx", "Wb", "Wa"), by_inputs) | KIMI_GATE,
        {"heads": 1, "negative_eigenvalues": False},
        FLA_LAYERS + "kda.py",
        DRAWN,
        "Its default is 16 heads of size 128.",
        official_options={"heads": 16},
    ),
    "layer_norm_lstm": Expected(
        {
            "Wx": within(lambda n: 0.1),
            "Wh": orthogonal(4),
            "b": zeros,
            "gx": ones,
            "gh": ones,
            "gc": ones,
            "bc": zeros,
        },
        source="https://github.com/ryankiros/layer-norm/blob/master/layers.py",
        kind=OFFICIAL,
        deviation="There are two more biases there, which start at zero. The functions that draw matrices "
        "are those of the projects that the code extends. Here they are those of "
        "https://github.com/ryankiros/skip-thoughts/blob/master/training/utils.py, with which Wx is "
        "orthogonal for each gate where I = H. For the LSTM, the README names a fork of "
        "https://github.com/caglar/Attentive_reader, whose codes/att_reader/utils.py draws Wx within "
        "sqrt(6 / (I + H + 1)) of zero, and Wh as 0.05 times an orthogonal matrix, the same for all gates.",
    ),
    "leaky_rnn": Expected({"Wx": by_hidden, "Wh": by_hidden, "b": by_hidden}, {"leak": 0.3}),
    "lem": Expected(
        {"Wx": by_hidden, "Wy": by_hidden, "Wz": by_hidden, "b": by_hidden},
        {"dt": 1.0},
        "https://github.com/tk-rusch/LEM/blob/main/src/adding/network.py",
        DRAWN,
        "The two products with the states have biases there, too.",
    ),
    "lif": Expected(
        {"Wx": by_inputs, "Wh": by_hidden, "b": by_hidden},
        {"beta": 0.9, "threshold": 1.0, "surrogate": "arctan", "slope": 2.0},
        "https://github.com/jeshraghian/snntorch/blob/master/snntorch/_neurons/rleaky.py",
        DRAWN,
        "The decay has no default there, and the projected input has a bias of its own.",
    ),
    "light_ru": chosen(gates={"Wx": 2, "Wh": 1, "b": 1}),
    "lightnet": Expected(
        {
            "Wx": by_inputs,
            "Wa": by_inputs,
            "Wr": within(lambda n: n.rank**-0.5),
            "gain": ones,
            "Wo": by_hidden_rows,
        },
        {"heads": 1, "rank": 16},
        FLA_LAYERS + "lightnet.py",
        DRAWN,
        "Its default is heads with keys of 128 elements, and a rank of 128 at 1,024 units.",
        official_options={"rank": 128},
    ),
    "ligru": Expected(
        {"Wx": by_inputs, "Wh": orthogonal(2), "b": zeros},
        source="https://github.com/mravanelli/pytorch-kaldi/blob/master/neural_networks.py",
        kind=DRAWN,
    ),
    "linear_attention": Expected(
        {"Wx": by_inputs, "b": zeros},
        {"heads": 1},
        "https://github.com/idiap/fast-transformers/blob/master/fast_transformers/recurrent/attention/"
        "self_attention/attention_layer.py",
        DRAWN,
        "Its biases start as those of nn.Linear.",
        {"b": by_inputs},
    ),
    "linoss": Expected(
        {
            "A": lambda n: uniform(0, 1),
            "s": lambda n: uniform(0, 1),
            "B": lambda n: each(uniform(-(n.I**-0.5), n.I**-0.5)),
            "C": lambda n: each(uniform(-(n.H**-0.5), n.H**-0.5)),
            "D": scaled(lambda n: n.I**-0.5),
        },
        {"scheme": "im"},
        "https://github.com/tk-rusch/linoss/blob/main/models/LinOSS.py",
        DRAWN,
        "D is a diagonal there, with variance one. The scheme is a setting of each experiment.",
        {"D": scaled(lambda n: 1.0)},
    ),
    "lipschitz": Expected(
        {
            "Wx": by_inputs,
            "Ma": scaled(lambda n: n.init_std / n.H),
            "Mw": scaled(lambda n: n.init_std / n.H),
            "b": zeros,
        },
        {"eps": 0.1, "beta": 0.7, "gamma": 0.001, "init_std": 0.1},
        "https://github.com/erichson/LipschitzRNN/blob/master/driver.py",
        DRAWN,
        "The bias there is that of nn.Linear, within 1 / sqrt(I) of zero.",
        {"b": by_inputs},
    ),
    "lmu": Expected(
        {
            "ex": within(lambda n: math.sqrt(3 / n.I)),
            "eh": within(lambda n: math.sqrt(3 / n.H)),
            "em": zeros,
            "Wx": scaled(lambda n: math.sqrt(2 / (n.I + n.H))),
            "Wh": scaled(lambda n: math.sqrt(1 / n.H)),
            "Wm": scaled(lambda n: math.sqrt(2 / (n.order + n.H))),
            "A": lambda n: exact(legendre_memory(n)[0].T),
            "B": lambda n: exact(legendre_memory(n)[1]),
        },
        {"order": 32, "theta": 64.0},
        "https://github.com/hrshtv/pytorch-lmu/blob/main/src/lmu.py",
        DRAWN,
        "Order and length of the window have no default there.",
    ),
    "log_linear_attention": Expected(
        {
            "Wx": by_inputs,
            **dict.fromkeys(("taps", "b"), within(lambda n: n.width**-0.5)),
            "bd": lambda n: inverse_softplus_of_steps(0.001, 0.1),
            "A": lambda n: exact(np.log(np.arange(1, n.heads + 1))),
            **dict.fromkeys(("L", "D", "gain"), ones),
            "Wo": within(lambda n: (n.expand * n.H) ** -0.5),
        },
        {"expand": 2, "heads": 1, "order": 16, "levels": 11, "width": 4},
        FLA_LAYERS + "log_linear_mamba2.py",
        DRAWN,
        "There are heads of 64 channels, an order of 128 and 15 levels there.",
        official_options={"order": 128, "levels": 15},
    ),
    "longhorn": Expected(
        {
            "Wx": by_inputs,
            "taps": within(lambda n: n.width**-0.5),
            "b": within(lambda n: n.width**-0.5),
            "Wu": within(lambda n: (n.expand * n.H) ** -0.5),
            "Wd": within(lambda n: n.rank**-0.5),
            "bd": zeros,
            "D": ones,
            "Wo": within(lambda n: (n.expand * n.H) ** -0.5),
        },
        {"expand": 2, "order": 16, "rank": 8, "width": 4},
        "https://github.com/Cranial-XIX/Longhorn/blob/main/models/longhorn.py",
        DRAWN,
        "The rank there is H / 16, rounded up. Its models set bd to zero, as here, and divide Wo by the root "
        "of the number of layers.",
    ),
    "low_rank_rnn": Expected(
        {"Wx": scaled(lambda n: 1.0), "m": scaled(lambda n: 1.0), "n": scaled(lambda n: 1.0)},
        {"rank": 1, "alpha": 0.2},
        "https://github.com/adrian-valente/lowrank_inference/blob/main/low_rank_rnns/modules.py",
        DRAWN,
    ),
    "lru": Expected(
        {
            "poles": poles_of_ring,
            "B": lambda n: each(normal(math.sqrt(1 / (2 * n.I)))),
            "C": lambda n: each(normal(math.sqrt(1 / n.H))),
            "D": scaled(lambda n: n.I**-0.5),
        },
        {"r_min": 0.0, "r_max": 1.0, "max_phase": 6.28},
        "https://github.com/NicolasZucchet/minimal-LRU/blob/main/lru/model.py",
        DRAWN,
        "D there is a vector of standard normal numbers.",
        {"D": scaled(lambda n: 1.0)},
    ),
    "lstm": lstm_like(
        options={"t_max": 2.0},
        kind=DRAWN,
        deviation="Biases start like the weights there.",
        official={"b": by_hidden},
    ),
    "lstm_original": Expected({"Wx": by_hidden, "Wh": by_hidden, "b": zeros}),
    "lstm_projected": lstm_like(
        arrays={"Wp": by_hidden},
        options={"proj": 32},
        kind=DRAWN,
        deviation="Biases start like the weights there.",
        official={"b": by_hidden},
    ),
    "ltc": Expected(
        {
            "cm": lambda n: uniform(0.4, 0.6),
            "gleak": lambda n: uniform(0.001, 1.0),
            "vleak": lambda n: uniform(-0.2, 0.2),
            "wx": lambda n: uniform(0.001, 1.0),
            "mux": lambda n: uniform(0.3, 0.8),
            "sigmax": lambda n: uniform(3, 8),
            "erevx": polarities,
            "w": lambda n: uniform(0.001, 1.0),
            "mu": lambda n: uniform(0.3, 0.8),
            "sigma": lambda n: uniform(3, 8),
            "erev": polarities,
        },
        {"unfolds": 6},
        "https://github.com/mlech26l/ncps/blob/master/ncps/torch/ltc_cell.py",
        DRAWN,
    ),
    "m2rnn": Expected(
        {
            "Wx": lambda n: normal(0.02),
            "W": lambda n: exact(np.tile(np.eye(n.H // n.heads), (n.heads, 1, 1))),
            "ba": lambda n: inverse_softplus_of_steps(0.001, 0.1),
            "A": lambda n: through(np.exp, uniform(0, 16)),
            "d": ones,
            "gain": ones,
            "Wo": lambda n: normal(0.02),
        },
        {"heads": 1},
        "https://github.com/open-lm-engine/lm-engine/blob/main/configs/research/m2rnn/400m-normal/m2rnn.yml",
        DRAWN,
        "Wo is divided there by the root of twice the number of layers, 24. Its default is 84 heads of size "
        "16, with one query and one key of size 64.",
        {"Wo": lambda n: normal(0.02 / math.sqrt(48))},
        {"heads": 84},
    ),
    "mamba": Expected(
        {
            "Wx": by_inputs,
            "taps": within(lambda n: n.width**-0.5),
            "b": within(lambda n: n.width**-0.5),
            "Wu": within(lambda n: (n.expand * n.H) ** -0.5),
            "Wd": within(lambda n: n.rank**-0.5),
            "bd": lambda n: inverse_softplus_of_steps(0.001, 0.1),
            "A": lambda n: exact(np.tile(np.log(np.arange(1, n.order + 1)), (n.expand * n.H, 1))),
            "D": ones,
            "Wo": within(lambda n: (n.expand * n.H) ** -0.5),
        },
        {"expand": 2, "order": 16, "rank": 8, "width": 4},
        "https://github.com/state-spaces/mamba/blob/main/mamba_ssm/modules/mamba_simple.py",
        DRAWN,
        "The rank there is H / 16, rounded up. Its models divide Wo by the root of the number of layers.",
    ),
    "mamba2": Expected(
        {
            "Wx": by_inputs,
            "taps": within(lambda n: n.width**-0.5),
            "b": within(lambda n: n.width**-0.5),
            "bd": lambda n: inverse_softplus_of_steps(0.001, 0.1),
            "A": lambda n: through(np.exp, uniform(1, 16)),
            "D": ones,
            "gain": ones,
            "Wo": within(lambda n: (n.expand * n.H) ** -0.5),
        },
        {"expand": 2, "heads": 1, "order": 16, "width": 4},
        "https://github.com/state-spaces/mamba/blob/main/mamba_ssm/modules/mamba2.py",
        DRAWN,
        "There are heads of 64 channels and an order of 128 there.",
        official_options={"order": 128},
    ),
    "mamba3": Expected(
        {
            "Wx": by_inputs,
            "bd": lambda n: inverse_softplus_of_steps(0.001, 0.1),
            **dict.fromkeys(("gainB", "gainC", "biasB", "biasC", "D"), ones),
            "Wo": within(lambda n: (n.expand * n.H) ** -0.5),
        },
        {"expand": 2, "heads": 1, "order": 16},
        "https://github.com/state-spaces/mamba/blob/main/mamba_ssm/modules/mamba3.py",
        DRAWN,
        "There are heads of 64 channels and an order of 128 there.",
        official_options={"order": 128},
    ),
    "matrix_lstm": Expected(
        {
            "Wx": scaled(lambda n: math.sqrt(2 / (5 * n.I))),
            "b": zeros,
            "Wg": zeros,
            "bg": lambda n: columns(normal(0.1), exact(np.linspace(3, 6, n.heads))),
        },
        {"heads": 1},
        "https://github.com/NX-AI/xlstm/blob/main/xlstm/blocks/mlstm/cell.py",
        DRAWN,
        "There are four heads by default there.",
        official_options={"heads": 4},
    ),
    "mc_lstm": Expected({"Wx": by_hidden, "Wv": by_hidden, "b": zeros}, {"forget_bias": 0.0}),
    "mesa_net": Expected(
        {
            "Wx": by_inputs,
            "Wg": by_inputs,
            "b": zeros,
            "ridge": lambda n: through(lambda v: np.log1p(np.exp(v)) + 0.25, constant(1)),
        },
        {"heads": 1, "iterations": 4},
        FLA_LAYERS + "mesa_net.py",
        DRAWN,
        "Its default is 16 heads of size 128 and 30 iterations, and biases start as those of nn.Linear.",
        {"b": by_inputs},
        {"heads": 16, "iterations": 30},
    ),
    "mgu": chosen(gates={"Wx": 2, "Wh": 1, "Wn": 1, "b": 2}),
    "mgu1": chosen(gates={"Wx": 1, "Wh": 1, "Wn": 1, "b": 2}),
    "mgu2": chosen(gates={"Wx": 1, "Wh": 1, "Wn": 1, "b": 1}),
    "mgu3": chosen(gates={"Wx": 1, "Wn": 1, "b": 2}),
    "mi_rnn": chosen(gates={"Wx": 1, "Wh": 1, "b": 1}, more={"alpha": ones, "beta1": ones, "beta2": ones}),
    "min_gru": Expected(
        {"Wx": by_inputs, "b": zeros},
        {"positive": False},
        "https://github.com/lucidrains/minGRU-pytorch/blob/main/minGRU_pytorch/minGRU.py",
        DRAWN,
        "No bias there, and positive candidates alone.",
        {"b": None},
    ),
    "min_lstm": Expected(
        {"Wx": by_inputs, "b": zeros},
        {"positive": False},
        "https://github.com/lucidrains/minGRU-pytorch/blob/main/minGRU_pytorch/minLSTM.py",
        DRAWN,
        "No bias there, and positive candidates alone.",
        {"b": None},
    ),
    "minimal_rnn": chosen(gates={"Wx": 1, "Wh": 1, "b": 2}, more={"Wz": glorot(lambda n: 2 * n.H)}),
    "miru1": chosen(
        gates={"Wx": 2, "Wh": 1, "Wn": 1, "b": 2},
        options={"keep": 0.5},
        source=TORCHRECURRENT,
        kind=DRAWN,
        deviation="Recurrent weights are Glorot uniform there, as one matrix.",
        official={"Wh": glorot(lambda n: 3 * n.H), "Wn": glorot(lambda n: 3 * n.H)},
    ),
    "miru2": chosen(
        gates={"Wx": 2, "Wh": 1, "b": 1},
        more={"Wx": glorot(lambda n: n.I + n.H)},
        options={"keep": 0.5, "reset": 0.5},
        source=TORCHRECURRENT,
        kind=DRAWN,
        deviation="Recurrent weights are Glorot uniform there.",
        official={"Wh": glorot(lambda n: 2 * n.H)},
    ),
    "momentum_delta_net": Expected(
        {
            **dict.fromkeys(("Wx", "Wg"), by_inputs),
            **dict.fromkeys(("ba", "bm"), lambda n: inverse_softplus_of_steps(0.001, 0.1)),
            **dict.fromkeys(("A", "Am"), lambda n: through(np.exp, uniform(0, 16))),
            "f": lambda n: through(np.exp, uniform(0, 4)),
            "d": lambda n: through(np.exp, uniform(0, 1)),
        },
        {"heads": 1, "min_log_mu": -2.0},
        "https://github.com/HuuYuLong/MomentumDeltaNet/blob/main/flash-linear-attention/fla/layers/"
        "momentum_deltanet.py",
        DRAWN,
        "Its default is six heads of size 256. It starts bm at the numbers of ba.",
        official_options={"heads": 6},
    ),
    "momentum_rnn": Expected(
        {"Wx": orthogonal(), "Wh": lambda n: identity(1), "b": zeros},
        {"mu": 0.6, "epsilon": 0.6},
        "https://github.com/minhtannguyen/MomentumRNN/blob/master/mnist-timit/momentumnet.py",
        DRAWN,
        "There the cell is an LSTM, and the arrays have four parts. The first part of Wh starts at the "
        "identity, the others at zero, and the two biases of the forget gate at one. The script has the "
        "defaults mu = 0.9 and epsilon = 0.1, and the commands for MNIST set both to 0.6.",
        {
            "Wh": identity_of_first_gate,
            "b": lambda n: columns(constant(0), constant(1), constant(0), constant(0)),
        },
        {"mu": 0.9, "epsilon": 0.1},
    ),
    "multiplicative_lstm": Expected(
        {"Wmx": orthogonal(), "Wmh": orthogonal(), "Wx": orthogonal(), "Wm": orthogonal(), "b": zeros},
        {"forget_bias": 3.0},
        "https://github.com/benkrause/mLSTM/blob/master/chainer/train.py",
        DRAWN,
    ),
    "mut1": chosen(gates={"Wx": 3, "Wh": 1, "Wn": 1, "b": 3}),
    "mut2": chosen(gates={"Wx": 3, "Wh": 2, "Wn": 1, "b": 3}),
    "mut3": chosen(gates={"Wx": 3, "Wz": 1, "Wh": 1, "Wn": 1, "b": 3}),
    "nas": Expected(
        {"Wx": glorot(lambda n: n.I + 8 * n.H), "Wh": glorot(lambda n: 9 * n.H), "b": zeros},
        source="https://github.com/tensorflow/addons/blob/master/tensorflow_addons/rnn/nas_cell.py",
        kind=DRAWN,
        deviation="The bias is an option there, which is off.",
    ),
    "nbrc": Expected(
        {"Wx": glorot(lambda n: n.I + n.H), "Wh": glorot(lambda n: 2 * n.H), "b": zeros},
        source="https://github.com/nvecoven/BRC/blob/master/cells/cells.py",
        kind=DRAWN,
    ),
    "nvar": Expected(
        {
            "Wl": glorot(lambda n: n.delay * n.I + n.H),
            "Wq": glorot(lambda n: (n.delay * n.I) ** 2 + n.H),
            "b": zeros,
        },
        {"delay": 2, "stride": 1},
        "https://github.com/quantinfo/ng-rc-paper-code",
        DRAWN,
        "Its weights are fitted by regression.",
        official=dict.fromkeys(("Wl", "Wq", "b")),
    ),
    "on_lstm": Expected(
        {"Wx": by_inputs, "Wh": by_hidden_rows, "b": by_hidden},
        {"chunk": 1},
        "https://github.com/yikangshen/Ordered-Neurons/blob/master/ON_LSTM.py",
        DRAWN,
        "The projected input has a bias of its own there, and chunk is 10.",
    ),
    "para_gru": Expected(
        PARA_RNN,
        source="https://github.com/xaviergonzalez/ml-pararnn/blob/main/pararnn/rnn_cell/gru_diag_mh.py",
        kind=DRAWN,
        deviation="Inputs are divided into two heads there.",
    ),
    "para_lstm": Expected(
        PARA_RNN | {"p": scaled(lambda n: 2 / math.sqrt(5 * n.H))},
        source="https://github.com/xaviergonzalez/ml-pararnn/blob/main/pararnn/rnn_cell/lstm_cifg_diag_mh.py",
        kind=DRAWN,
        deviation="Inputs are divided into two heads there.",
    ),
    "peephole_lstm": Expected(
        {"Wx": by_hidden, "Wh": by_hidden, "b": zeros, "p": within(lambda n: 0.1)},
        {"forget_bias": 0.0},
        "https://github.com/tensorflow/tensorflow/blob/r1.15/tensorflow/python/ops/rnn_cell_impl.py",
        OFFICIAL,
        "The initial values here are those of lstm, and smaller peepholes. There both matrices are one of "
        "I + H rows, Glorot uniform. The peepholes there are within sqrt(3 / H) of zero, and forget_bias is "
        "1.",
        {
            **dict.fromkeys(("Wx", "Wh"), glorot(lambda n: n.I + 5 * n.H)),
            "p": glorot(lambda n: 2 * n.H),
        },
        {"forget_bias": 1.0},
    ),
    "phased_lstm": Expected(
        {
            "Wx": scaled(lambda n: 0.1),
            "Wh": scaled(lambda n: 0.1),
            "p": scaled(lambda n: 0.1),
            "b": lambda n: columns(constant(0), constant(2), constant(0), constant(0)),
            "period": lambda n: uniform(10, 100),
            "shift": lambda n: uniform(0, 1000),
        },
        {"open": 0.05, "leak": 0.001},
        "https://github.com/dannyneil/public_plstm/blob/master/plstm.py",
        DRAWN,
    ),
    "plrnn": Expected(
        {"Wh": positive_with_unit_norm, "Wx": by_inputs, "theta": by_hidden},
        source="https://github.com/DurstewitzLab/dendPLRNN/blob/main/BPTT_TF/bptt/PLRNN_model.py",
        kind=DRAWN,
        deviation="There is no external input there, and a bias in place of the thresholds.",
        official={"Wx": None},
    ),
    "precond_gated_delta_net": Expected(
        {
            **dict.fromkeys(("Wx", "Wg"), by_inputs),
            "b": lambda n: inverse_softplus_of_steps(0.001, 0.1),
            "A": lambda n: through(np.exp, uniform(0, 16)),
            **preconditioner(lowest=0),
        },
        {"heads": 1, "squash": 1.5},
        FLA_LAYERS + "precond_gated_deltanet.py",
        DRAWN,
        "Its default is six heads of size 256.",
        official_options={"heads": 6},
    ),
    "precond_kda": Expected(
        {
            **dict.fromkeys(("Wx", "Wb", "Wa", "Wg"), by_inputs),
            **KIMI_GATE,
            "b": zeros,
            **preconditioner(lowest=1),
        },
        {"heads": 1, "squash": 1.5},
        FLA_LAYERS + "precond_kda.py",
        DRAWN,
        "Its default is 16 heads of size 128.",
        official_options={"heads": 16},
    ),
    "qrnn": Expected(
        {
            "Wx": within(lambda n: (n.k * n.I) ** -0.5),
            "Wp": within(lambda n: (n.k * n.I) ** -0.5),
            "b": zeros,
        },
        {"k": 2},
        "https://github.com/salesforce/pytorch-qrnn/blob/master/torchqrnn/qrnn.py",
        DRAWN,
        "The bias there is that of nn.Linear, within 1 / sqrt(k I) of zero. The window there is 1 by "
        "default, and 2 in the experiments of the paper.",
        {"b": within(lambda n: (n.k * n.I) ** -0.5)},
        {"k": 1},
    ),
    "ran": Expected(
        {"Wx": glorot(lambda n: n.I + 3 * n.H), "Wh": glorot(lambda n: 3 * n.H), "b": zeros},
        {"activation": "tanh"},
        "https://github.com/kentonl/ran/blob/master/ran.py",
        DRAWN,
        "The content has a matrix of its own there, and the gates have one matrix of I + H rows. The scripts "
        "for PTB and text8 draw all weights within 0.04 or 0.05 of zero.",
        {
            "Wx": lambda n: columns(
                *[glorot(lambda n: n.I + 3 * n.H)(n)] * 2,
                glorot(lambda n: n.I + n.H)(n),
            ),
            "Wh": glorot(lambda n: n.I + 3 * n.H),
        },
    ),
    "raven": Expected(
        {
            **dict.fromkeys(("Wx", "Wr", "Wa"), by_inputs),
            "ba": lambda n: inverse_softplus_of_steps(0.001, 0.1),
            "A": lambda n: through(np.exp, uniform(1e-4, 16)),
            **dict.fromkeys(("gainq", "gaink", "gain"), ones),
            "Wo": by_hidden_rows,
        },
        {"heads": 1, "slots": 64, "top": 32},
        FLA_LAYERS + "raven.py",
        DRAWN,
        "Its default is four heads. Its models have 64 slots.",
        official_options={"heads": 4},
    ),
    "rebased": Expected(
        {
            "Wx": by_inputs,
            **dict.fromkeys(("gainq", "gaink"), ones),
            **dict.fromkeys(("biasq", "biask"), zeros),
        },
        {"heads": 1, "rank": 16},
        "https://github.com/corl-team/rebased/blob/main/src/mixers/rebased.py",
        DRAWN,
        "Its default is 12 heads.",
        official_options={"heads": 12},
    ),
    "res_lstm": Expected(
        {
            "Wx": by_hidden,
            "Wh": by_hidden,
            "b": zeros,
            "p": within(lambda n: 0.1),
            "Wp": by_hidden,
            "Wr": by_inputs,
        },
        {"forget_bias": 0.0},
    ),
    "retnet": Expected(
        {
            "Wx": small_glorot(lambda n: n.I + n.H),
            "Wo": glorot(lambda n: 2 * n.H * 2**2),
            "gamma": lambda n: exact(1 - 2.0 ** (-5 - np.arange(n.heads))),
            "theta": lambda n: exact(10000.0 ** -np.linspace(0, 1, n.H // n.heads // 2)),
        },
        {"heads": 4},
        "https://github.com/microsoft/torchscale/blob/main/torchscale/component/multiscale_retention.py",
        DRAWN,
        "Its default is three heads of size 256.",
        official_options={"heads": 3},
    ),
    "rg_lru": Expected(
        {
            "Wx": scaled(lambda n: n.I**-0.5),
            "Wg": scaled(lambda n: math.sqrt(n.heads / n.H)),
            "b": zeros,
            "decay": lambda n: through(lambda v: np.exp(-2 * np.log1p(np.exp(v))), uniform(0.9**2, 0.999**2)),
        },
        {"heads": 1},
        "https://github.com/google-deepmind/recurrentgemma/blob/main/recurrentgemma/torch/layers.py",
        DRAWN,
        "Inputs are not projected there. The number of heads has no default.",
        {"Wx": None},
    ),
    "rhn": Expected(
        {"Wx": glorot(lambda n: n.I + 2 * n.H), "R": by_hidden, "b": zeros},
        {"depth": 3, "transform_bias": -2.0},
        "https://github.com/jzilly/RecurrentHighwayNetworks/blob/master/rhn_train.py",
        DRAWN,
        "All weights and the biases of the candidates start within 0.04 of zero there.",
        official={
            "Wx": within(lambda n: 0.04),
            "R": within(lambda n: 0.04),
            "b": lambda n: columns(uniform(-0.04, 0.04), constant(0)),
        },
    ),
    "rodimus": Expected(
        {
            "Wx": by_inputs,
            **dict.fromkeys(("taps", "b"), within(lambda n: n.width**-0.5)),
            "Wq": within(lambda n: (n.expand * n.H) ** -0.5),
            "Wg": small_glorot(lambda n: n.expand * n.H + n.order),
            "bg": lambda n: inverse_softplus_of_steps(0.001, 0.1),
            "bt": lambda n: through(lambda v: 1 / (1 + np.exp(-v)), uniform(1 / 16, 0.9)),
            **dict.fromkeys(("Wa", "Wr"), small_glorot(lambda n: n.expand * n.H + n.rank)),
            "br": zeros,
            **dict.fromkeys(("d", "gain"), ones),
            "Wo": within(lambda n: (n.expand * n.H) ** -0.5),
        },
        {"expand": 2, "order": 64, "rank": 16, "width": 4},
        FLA_LAYERS + "rodimus.py",
        DRAWN,
        "Gates start as in its models, which draw other matrices with a standard deviation of 0.02.",
    ),
    "rtu": Expected(
        {
            "nu": lambda n: through(lambda v: np.exp(-2 * np.exp(v)), uniform(0, 1)),
            "theta": lambda n: through(np.exp, uniform(0, 6.28)),
            "Wx": scaled(lambda n: n.I**-0.5),
        },
        {"nonlinear": True, "activation": "relu"},
        "https://github.com/esraaelelimy/rtus/blob/main/src/nets/rtus/rtus_utils.py",
        DRAWN,
        "Input weights are normal without tails there.",
        {"Wx": lambda n: truncated_normal(n.I**-0.5)},
    ),
    "rwkv4": Expected(
        {
            "mix": lambda n: exact(np.stack([rwkv_place(n.I) ** 0.5, rwkv_place(n.I), rwkv_place(n.I)])),
            "Wx": lambda n: (
                lambda draws: (
                    constant(0)(draws[:, 0]),
                    constant(0)(draws[:, 1]),
                    orthonormal(max(1.0, math.sqrt(n.H / n.I)))(draws[:, 2]),
                )
            ),
            "w": lambda n: exact(-5 + 8 * (np.arange(n.H) / (n.H - 1)) ** 0.7),
            "u": lambda n: exact(math.log(0.3) + np.array([(i + 1) % 3 - 1 for i in range(n.H)]) * 0.5),
            "Wo": orthogonal(),
        },
        source="https://github.com/BlinkDL/RWKV-LM/blob/main/RWKV-v4neo/src/model.py",
        kind=DRAWN,
        deviation="The projection out starts at zero there.",
        official={"Wo": zeros},
    ),
    "rwkv5": Expected(
        {
            "mix": lambda n: exact(rwkv_place(n.I) ** np.array([[0.5], [1], [1], [0.5]])),
            **RWKV_MEMORY,
        },
        {"heads": 1},
        RWKV5_MODEL,
        DRAWN,
        RWKV_DEVIATION,
        RWKV_FIRST_OF_TWO,
    ),
    "rwkv6": Expected(
        {
            "mix": lambda n: exact(1 - rwkv_place(n.I) ** np.array([[1], [1], [1], [1], [0.5], [0.5]])),
            "A1": zeros,
            "A2": within(lambda n: 0.01),
            "D1": zeros,
            "D2": within(lambda n: 0.01),
            **RWKV_MEMORY,
        },
        {"heads": 1, "rank": 32, "decay_rank": 64},
        RWKV5_MODEL,
        DRAWN,
        RWKV_DEVIATION,
        RWKV_FIRST_OF_TWO,
    ),
    "rwkv7": Expected(
        {
            "mix": lambda n: exact(
                1 - rwkv_place(n.I) ** np.array([[0.2], [0.9], [0.7], [0.7], [0.9], [0.2]])
            ),
            "Wx": lambda n: uniform_parts(0.5 * n.I**-0.5, 0.05 * n.I**-0.5, 0.5 * n.I**-0.5),
            **{f"{name}1": zeros for name in "WAG"},
            **{f"{name}2": lambda n: orthonormal(0.1) for name in "WAG"},
            "w0": lambda n: exact(0.5 - 6 + 6 * rwkv_line(n) + 2.5 * rwkv_zigzag(n)),
            "a0": lambda n: exact(-0.19 + 0.3 * rwkv_zigzag(n) + 0.4 * (rwkv_line(n) - 0.5)),
            "kappa": lambda n: exact(0.71 - 0.1 * (rwkv_line(n) - 0.5)),
            "ka": lambda n: constant(1.02),
            "rho": lambda n: constant(-0.04),
            "gain": ones,
            "bias": zeros,
            "Wo": orthogonal(),
        },
        {"heads": 1, "rank": 32},
        RWKV5_MODEL,
        DRAWN,
        "The projection out starts at zero there, and heads have size 64. These are the values of the layer "
        "alone, and of the projections those of a comment, which RWKV-v7/train_temp/src/model.py runs. Its "
        "models start the projections orthogonal, and the gain of the norm at a smaller number in lower "
        "layers.",
        {"Wo": zeros},
    ),
    "s4d": Expected(
        {
            "Wx": scaled(lambda n: n.I**-0.5),
            "log_rate": lambda n: constant(math.log(0.5)),
            "freq": lambda n: exact(np.tile(math.pi * np.arange(n.order // 2), (n.H, 1))),
            "log_dt": steps_between,
            "C": lambda n: each(normal(math.sqrt(0.5))),
            "D": scaled(lambda n: 1.0),
        },
        {"order": 64, "start": "lin", "dt_min": 0.001, "dt_max": 0.1},
        "https://github.com/state-spaces/s4/blob/main/models/s4/s4d.py",
        DRAWN,
        "Inputs are not projected there. The start is linear, without an option.",
        {"Wx": None},
    ),
    "s5": Expected(
        {
            "A": lambda n: exact(hippo_poles(n), 1e-9),
            "log_dt": steps_between,
            "B": lambda n: scaled_complex(1 / n.order),
            "C": lambda n: scaled_complex(2 / n.order),
            "D": scaled(lambda n: n.I**-0.5),
        },
        {"order": 256, "blocks": 8, "dt_min": 0.001, "dt_max": 0.1, "clip": False},
        "https://github.com/lindermanlab/S5/blob/main/s5/ssm.py",
        DRAWN,
        "D there is a vector of standard normal numbers. The normal numbers of B and C are truncated at two "
        "deviations there.",
        {"D": scaled(lambda n: 1.0)},
    ),
    "scrn": Expected(
        {name: scaled(lambda n: 0.05) for name in ("Wb", "Wx", "Wh", "Ws")},
        {"context": 20, "alpha": 0.95},
        "https://github.com/facebookarchive/SCRNNs/blob/master/util.lua",
        OFFICIAL,
        "The number of context units is zero there by default, and 20 in the example of its README.",
        official_options={"context": 0},
    ),
    "se_adlif": Expected(
        {
            "Wx": by_inputs,
            "Wh": orthogonal(),
            "bias": zeros,
            "t": lambda n: uniform(0, 1),
            "r": lambda n: uniform(0, 1),
            "a": lambda n: uniform(0, 1),
            "b": lambda n: uniform(0, 2),
        },
        {
            "tau_u_min": 5.0,
            "tau_u_max": 25.0,
            "tau_w_min": 60.0,
            "tau_w_max": 300.0,
            "q": 120.0,
            "threshold": 1.0,
            "surrogate": "exponential",
            "slope": 5.0,
            "scale": 0.4,
        },
        "https://github.com/IGITUGraz/SE-adlif/blob/main/config/experiment/SHD_SE_adLIF.yaml",
        DRAWN,
    ),
    "sgrn": chosen(gates={"Wx": 1, "Wh": 1, "b": 1}),
    "sgu": chosen(gates={"Wx": 2, "Wg": 1, "Wh": 1, "b": 2}),
    "shallow_plrnn": Expected(
        {
            "A": diagonal_of_unit_norm,
            "W2": by_hidden_rows,
            "h2": zeros,
            "W1": within(lambda n: n.units**-0.5),
            "h1": zeros,
            "Wx": glorot(lambda n: n.I + n.H),
        },
        {"units": 100, "clipped": False},
        "https://github.com/DurstewitzLab/CNS-2023/blob/main/CNS2023_tutorial.ipynb",
        DRAWN,
        "A, h2 and Wx are those of the authors' code in Julia, https://github.com/DurstewitzLab/GTF-shPLRNN, "
        "whose default is the clipped form.",
        official={
            "A": lambda n: uniform(0.5, 0.9),
            "h2": within(lambda n: n.units**-0.5),
            "Wx": by_inputs,
        },
        official_options={"clipped": True},
    ),
    "skip_lstm": Expected(
        {
            "Wx": glorot(lambda n: n.I + 5 * n.H),
            "Wh": glorot(lambda n: 5 * n.H),
            "b": zeros,
            "Wu": glorot(lambda n: n.H + 1),
            "bu": ones,
        },
        {"forget_bias": 1.0},
        "https://github.com/imatge-upc/skiprnn-2017-telecombcn/blob/master/src/rnn_cells/skip_rnn_cells.py",
        DRAWN,
        "Wx and Wh are one matrix there, of I + 5H inputs and outputs.",
        official={"Wh": glorot(lambda n: n.I + 5 * n.H)},
    ),
    "slice": Expected(
        {
            "A0": lambda n: normal(n.block**-0.5),
            "Wa": lambda n: normal(n.block**-0.5),
            "Wi": lambda n: normal(1.0),
            "bi": lambda n: normal(1.0),
        },
        {"block": 4, "dt": 0.025},
        "https://github.com/Benjamin-Walker/structured-linear-cdes/blob/main/models/slcde.py",
        DRAWN,
        "Blocks have size one there by default.",
        official_options={"block": 1},
    ),
    "slstm": Expected(
        {
            "Wx": scaled(lambda n: math.sqrt(2 / (5 * n.I))),
            "R": zeros,
            "b": lambda n: columns(
                constant(0),
                exact(np.tile(5 - 12 * np.linspace(0, 1, n.H // n.heads) ** 0.3, n.heads)),
                constant(0),
                constant(0),
            ),
        },
        {"heads": 1},
        "https://github.com/NX-AI/xlstm/blob/main/xlstm/blocks/slstm/cell.py",
        DRAWN,
        "There are four heads by default there.",
        official_options={"heads": 4},
    ),
    "sru": Expected(
        {
            "Wx": lambda n: columns(
                *(
                    uniform(-math.sqrt(3 * v / n.I), math.sqrt(3 * v / n.I))
                    for v in (1, 0.5, 0.5, 1 + 2 * math.exp(n.highway_bias))
                )
            ),
            "v": within(lambda n: math.sqrt(1.5)),
            "b": lambda n: columns(constant(0), constant(n.highway_bias)),
        },
        {"highway_bias": 0.0},
        "https://github.com/asappresearch/sru/blob/v2.6.0/sru/modules.py",
        DRAWN,
    ),
    "srwm": Expected(
        {"Wx": by_inputs, "W": lambda n: normal((n.H / n.heads) ** -0.5)},
        {"heads": 1},
        "https://github.com/IDSIA/modern-srwm/blob/main/supervised_learning/layer.py",
        DRAWN,
        "Its layer has as many inputs as units and no matrix Wx.",
        {"Wx": None},
    ),
    "star": Expected(
        {"Wx": orthogonal(2), "Wh": orthogonal(), "b": lambda n: columns(chrono(-1)(n), constant(0))},
        {"t_max": 784},
        "https://github.com/0zgur0/STAckable-Recurrent-network/blob/master/star.py",
        DRAWN,
        "The gate there keeps where it is near one, here it renews: the bias has the other sign.",
    ),
    "stsp_rnn": Expected(
        {
            "Wx": gamma_variates(lambda n: np.full((n.I, n.H), 0.2)),
            "Wh": gamma_variates(synaptic_weights),
            "b": zeros,
            "sign": excitatory_first(lambda n: round(0.8 * n.H)),
            "U": lambda n: exact(np.tile([0.15, 0.45], n.H // 2)),
            "fast": lambda n: exact(np.tile([10 / 200, 10 / 1500], n.H // 2), 1e-12),
            "slow": lambda n: exact(np.tile([10 / 1500, 10 / 200], n.H // 2), 1e-12),
        },
        {"dt": 0.01, "alpha": 0.1, "excitatory": 0.8},
        "https://github.com/nmasse/Short-term-plasticity-RNN/blob/master/parameters.py",
        DRAWN,
    ),
    "synaptic": Expected(
        {"Wx": by_inputs, "Wh": by_hidden, "b": by_hidden},
        {"alpha": 0.9, "beta": 0.8, "threshold": 1.0, "surrogate": "arctan", "slope": 2.0},
        "https://github.com/jeshraghian/snntorch/blob/master/snntorch/_neurons/rsynaptic.py",
        DRAWN,
        "The decays have no default there, and the projected input has a bias of its own.",
    ),
    "t_gru": chosen(gates={"Wx": 3, "Wp": 3, "b": 3}),
    "t_lstm": chosen(gates={"Wx": 3, "Wp": 3, "b": 3}),
    "t_rnn": chosen(gates={"Wx": 2, "b": 1}),
    "tau_gru": Expected(
        dict.fromkeys(("Wx", "Wh", "Wd", "b"), by_hidden),
        {"delay": 10},
        TORCHRECURRENT,
        DRAWN,
        "Weights are Glorot uniform and biases zero there, and the delay is 1 by default.",
        official={
            "Wx": glorot(lambda n: n.I + 4 * n.H),
            "Wh": glorot(lambda n: 5 * n.H),
            "Wd": glorot(lambda n: 5 * n.H),
            "b": zeros,
        },
        official_options={"delay": 1},
    ),
    "titans": Expected({"Wx": by_inputs, "Wg": by_inputs, "b": zeros}, {"heads": 1}),
    "ttt_linear": Expected(
        {
            "Wx": by_inputs,
            "We": lambda n: normal(0.02),
            "be": zeros,
            "M0": lambda n: normal(0.02),
            "c0": zeros,
            "w": ones,
            "b": zeros,
            "gain": ones,
            "bias": zeros,
            "Wo": by_hidden_rows,
        },
        {"heads": 1, "rate": 1.0},
        "https://github.com/test-time-training/ttt-lm-pytorch/blob/main/ttt.py",
        DRAWN,
        "Its default is 32 heads of size 64, and its mini batches have 16 time steps. Its models start the "
        "matrices of nn.Linear normal with a standard deviation of 0.02.",
        official_options={"heads": 32},
    ),
    "ugrnn": Expected(
        {"Wx": glorot(lambda n: n.I + 2 * n.H), "Wh": glorot(lambda n: 3 * n.H), "b": zeros},
        {"forget_bias": 1.0},
        "https://github.com/tensorflow/tensorflow/blob/r1.15/tensorflow/contrib/rnn/python/ops/rnn_cell.py",
        OFFICIAL,
        "There both matrices are one of I + H rows.",
        dict.fromkeys(("Wx", "Wh"), glorot(lambda n: n.I + 3 * n.H)),
    ),
    "unicornn": Expected(
        {
            "Wx": within(lambda n: math.sqrt(6 / (65 * n.I))),
            "u": lambda n: uniform(0, 1),
            "c": within(lambda n: 0.1),
            "b": zeros,
        },
        {"dt": 0.19, "alpha": 30.65},
        "https://github.com/tk-rusch/unicornn/blob/main/psMNIST/network.py",
        DRAWN,
    ),
    "urnn": Expected(
        {
            "w": within(lambda n: math.pi),
            "v": lambda n: each(uniform(-math.sqrt(6 / (2 + 2 * n.H)), math.sqrt(6 / (2 + 2 * n.H)))),
            "Wx": lambda n: each(uniform(-math.sqrt(6 / (n.I + 2 * n.H)), math.sqrt(6 / (n.I + 2 * n.H)))),
            "b": within(lambda n: 0.01),
            "F": lambda n: exact(np.fft.fft(np.eye(n.H)) / math.sqrt(n.H), 1e-9),
            "P": permutation,
        },
        source="https://github.com/amarshah/complex_RNN/blob/master/models.py",
        kind=DRAWN,
        deviation="The Fourier transform is a function there, and the first state is a parameter.",
        official={"F": None},
    ),
    "vanilla": Expected(
        {"Wxh": by_hidden, "Whh": by_hidden, "bh": by_hidden},
        source="https://github.com/pytorch/pytorch/blob/main/torch/nn/modules/rnn.py",
        kind=DRAWN,
    ),
    "wmc_lstm": Expected(
        {"Wx": by_hidden, "Wh": by_hidden, "b": zeros, "Wc": by_hidden}, {"forget_bias": 0.0}
    ),
}
