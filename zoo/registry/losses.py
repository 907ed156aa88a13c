"""Functions to list, get and register losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo.arguments import short_repr
from zoo.base.loss import LOSSES, Loss, loss_table
from zoo.base.names import did_you_mean
from zoo.errors import DefinitionError, UnknownNameError, UsageError
from zoo.registry.api import plugins


def list_losses() -> list[str]:
    """Names of the registered losses, sorted; the first call loads the plugins."""
    plugins()
    return sorted(loss_table())


def register_loss(loss: Loss, *, override: bool = False) -> Loss:
    """Register a loss under its name, for this process.

    Args:
        loss: The loss.
        override: Whether it may replace another loss of this name.

    Raises:
        DefinitionError: if it is not a loss.
        UsageError: if the name is taken.
    """
    if not isinstance(loss, Loss):
        raise DefinitionError(f"register_loss: found {short_repr(loss)}; expected a zoo.Loss.")
    if not override and loss_table().get(loss.name, loss) != loss:
        raise UsageError(f"loss {loss.name!r} is registered already; use another name, or override=True.")
    LOSSES[loss.name] = loss
    return loss


def get_loss(name: str, /, *, class_weights: Sequence[float] | None = None, **options: Any) -> Loss:
    """A registered loss with its options chosen, ``get_loss("huber", delta=0.5)``.

    Raises:
        UnknownNameError: if no loss has this name.
        UsageError: for an unknown option or an invalid value.
    """
    return find_loss(name).with_options(class_weights=class_weights, **options)


def find_loss(loss: Any) -> Loss:
    """Convert the name of a registered loss to the loss; an unknown name loads the plugins first.

    Raises:
        UnknownNameError: if no loss has this name.
        UsageError: if it is neither a name nor a loss.
    """
    if isinstance(loss, Loss):
        return loss
    if not isinstance(loss, str):
        raise UsageError(f"loss is {short_repr(loss)}; expected the name of a loss or a zoo.Loss.")
    if loss not in loss_table():
        plugins()
    if loss not in LOSSES:
        raise UnknownNameError(
            f"loss is {short_repr(loss)}; expected one of {', '.join(LOSSES)}.{did_you_mean(loss, LOSSES)}"
        )
    return LOSSES[loss]
