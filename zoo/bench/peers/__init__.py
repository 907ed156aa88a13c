"""The libraries that zoo is measured beside; each is a row here and a module of the same name.

Such a module is imported in a process of its own, and only when asked for. It has ``CELLS``, the names of the
cells that its library can compute, and ``build(problem)``, which gives the ways to run one training step of
such a cell (:class:`zoo.bench.problem.Way`), of which the quickest counts. It may have ``NOTES``, a sentence
for a cell whose equations are others there, and ``sampler(problem)``.
"""

from __future__ import annotations

from dataclasses import dataclass

OURSELVES = "zoo"


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
    "jax": Peer(("jax", "jaxlib"), _EXTRA),
    "torchrecurrent": Peer(("torchrecurrent", "torch"), _EXTRA),
    "pytensor": Peer(
        ("pytensor", "numba"),
        "it needs an older Numba than zoo does, so install it in an environment of its own, with "
        "`pip install pytensor` and `pip install --no-deps recurrent-zoo`, and add --python "
        "pytensor=that/environment/bin/python.",
    ),
}
