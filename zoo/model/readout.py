"""The kernels of a readout and its loss, made for each loss."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from zoo.base.loss import Loss
from zoo.compiler.codegen.source_module import load_source


class ReadoutKernels(NamedTuple):
    """The kernels of a readout and its loss, see :mod:`zoo.model.readout_template`.

    Args:
        weighted_loss: The weighted sum of the losses of some rows of outputs.
        weighted_loss_and_grad: The weighted losses of some rows, which are replaced by the gradient.
        loss: The loss of each step, from the outputs of the layers.
        loss_and_grad: Also the gradients of those outputs and of the readout.
    """

    weighted_loss: Any
    weighted_loss_and_grad: Any
    loss: Any
    loss_and_grad: Any


def readout_kernels(loss: Loss) -> ReadoutKernels:
    """The kernels for a loss, made of the template."""
    return _instantiate(loss.name, loss.row_loss, loss.row_loss_and_grad, loss.block)


@cache
def _instantiate(name: str, row_loss: Any, row_loss_and_grad: Any, block: Any) -> ReadoutKernels:
    replaced = {"rows_loss_and_grad": block} if block else {"row_loss_and_grad": row_loss_and_grad}
    module = load_source(f"{name}_readout", _template(), {"row_loss": row_loss, **replaced})
    names = "weighted_loss", "weighted_loss_and_grad_inplace", "readout_loss", "readout_loss_and_grad"
    return ReadoutKernels(*(getattr(module, name) for name in names))


@lru_cache(maxsize=1)
def _template() -> str:
    return Path(__file__).with_name("readout_template.py").read_text(encoding="utf-8")
