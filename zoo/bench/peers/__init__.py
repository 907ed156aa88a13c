"""The libraries that zoo is measured beside: each is a row here, and a module of its name, ``_`` for a dot.

Such a module is imported in a process of its own, and only when asked for. It has ``CELLS``, the names of the
cells that its library can compute, and ``build(problem)``, which gives the ways to run one training step of
such a cell (:class:`zoo.bench.problem.Way`), of which the quickest counts. It may have ``NOTES``, a sentence
for a cell whose equations are others there, ``remark(problem)``, a sentence about what it measured beside the
step, and ``sampler(problem)``.
"""

from __future__ import annotations

from dataclasses import dataclass

OURSELVES = "zoo"
FRAMED = "zoo.torch"
"""zoo again, inside a PyTorch training step: measured as a peer, and no rival."""


@dataclass(frozen=True)
class Peer:
    """A library to compare with.

    Args:
        packages: The distributions it consists of, whose versions are told; they are imported by these names.
        advice: What to do if it is not installed.
    """

    packages: tuple[str, ...]
    advice: str


_EXTRA = "install zoo with its extra: pip install 'recurrent-zoo[peers]'."

PEERS = {
    "torch": Peer(("torch",), _EXTRA),
    FRAMED: Peer(("torch",), _EXTRA),
    "jax": Peer(("jax", "jaxlib"), _EXTRA),
    "torchrecurrent": Peer(("torchrecurrent", "torch"), _EXTRA),
    "pytensor": Peer(
        ("pytensor", "numba"),
        "it needs an older Numba than zoo does, so install it in an environment of its own, with "
        "`pip install pytensor` and `pip install --no-deps recurrent-zoo`, and add --python "
        "pytensor=that/environment/bin/python.",
    ),
}
