"""The libraries to compare with: each is a row here, and a module of its name, with ``_`` for a dot.

The module is imported in a process of its own. It has ``CELLS``, the names of the supported cells, and
``build(problem)``, which returns variants of the training step
(:class:`zoo.bench.peers.problem.Variant`). The fastest counts. It may have ``NOTES``, a sentence for each
cell whose equations differ there, ``remark(problem)``, a sentence about further measurements,
``sampler(problem)``, and ``stream(problem)``, which returns variants of a layer with one time step in each
call. Without ``CELLS`` it supports all cells, and ``build`` raises
:class:`zoo.bench.peers.problem.UnsupportedProblemError` for the exceptions.
"""

from __future__ import annotations

from dataclasses import dataclass

from zoo.installation import DISTRIBUTION, install_hint

SELF = "zoo"
TORCH_LAYER = "zoo.torch"
"""zoo inside a PyTorch training step; measured like a peer, but not a competitor."""


@dataclass(frozen=True)
class Peer:
    """A library to compare with.

    Args:
        packages: Its distributions, which are also import names; their versions are reported.
        advice: Instructions for the installation.
        takes_dense: Whether it can measure dense inputs.
    """

    packages: tuple[str, ...]
    advice: str
    takes_dense: bool = False


_EXTRA = f"install zoo with its extra: {install_hint('peers')}."

PEERS = {
    "torch": Peer(("torch",), _EXTRA, takes_dense=True),
    "torch.eager": Peer(("torch",), _EXTRA, takes_dense=True),
    TORCH_LAYER: Peer(("torch",), _EXTRA, takes_dense=True),
    "jax": Peer(("jax", "jaxlib"), _EXTRA, takes_dense=True),
    "torchrecurrent": Peer(("torchrecurrent", "torch"), _EXTRA),
    "pytensor": Peer(
        ("pytensor", "numba"),
        "it needs an older Numba than zoo, so install it in a separate environment, with "
        f"`pip install pytensor` and `pip install --no-deps {DISTRIBUTION}`, and add --python "
        "pytensor=that/environment/bin/python.",
    ),
}
