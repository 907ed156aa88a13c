"""The loss of a forecast: one for all targets, or one for each, as in ``load=huber:0.5,price=quantile``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.base.loss import Loss
from zoo.base.names import split_assignments
from zoo.errors import UsageError
from zoo.kernels.losses import MAX_TARGETS, PER_TARGET_LOSSES
from zoo.registry import get_loss, named_loss


def forecast_loss(text: str, options: Mapping[str, Any], targets: Sequence[str]) -> tuple[Loss, list[str]]:
    """The loss of a forecast, and the name of the loss of each target.

    Args:
        text: The setting ``loss``.
        options: Options of a loss of all targets.
        targets: The columns.

    Raises:
        UsageError: if a loss is unknown or is not one of numbers, or a target has none.
    """
    if not _is_per_target(text, targets):
        loss = named_loss(text, options)
        if loss.target != "value" or loss.name == "per_target":
            raise UsageError(
                f"loss is {loss.name!r}, which is not a loss of numbers; choose 'interval', "
                "'squared_error', 'absolute_error', 'huber' or 'quantile'."
            )
        check_any_target(loss, "a forecast")
        return loss, [loss.name] * len(targets)
    if options:
        raise UsageError(
            f"loss is {text!r} and loss_options are given; write an option behind a colon, as in y=huber:0.5."
        )
    given = split_assignments(text, "loss", known=targets)
    unknown = [name for name in given if name not in targets]
    if unknown or len(given) < len(targets):
        problem = f"names {unknown[0]!r}, which is not a target" if unknown else "lacks a target"
        raise UsageError(f"loss {problem}; expected a loss for each of {', '.join(targets)}, or one for all.")
    if len(targets) > MAX_TARGETS:
        raise UsageError(
            f"loss names {len(targets)} targets; expected at most {MAX_TARGETS}, or one loss for all targets."
        )
    losses = [_loss_of_target(name, given[name]) for name in targets]
    codes: dict[str, Any] = {
        f"kind{n}": float(PER_TARGET_LOSSES.index(loss.name)) for n, loss in enumerate(losses)
    }
    codes |= {f"parameter{n}": loss.values[0] for n, loss in enumerate(losses) if loss.values}
    return get_loss("per_target", **codes), [loss.name for loss in losses]


def check_any_target(loss: Loss, of: str) -> None:
    """Check that a loss allows all numbers, since a dataset subtracts the mean and divides by the deviation.

    Args:
        loss: The loss.
        of: The owner of the targets, ``"a forecast"``.

    Raises:
        UsageError: if it has a range.
    """
    if loss.has_range:
        raise UsageError(
            f"loss is {loss.name!r} for {loss.target_text}, and the targets of {of} are scaled to mean 0; "
            f"choose another loss, or give arrays to model.fit, which does not scale them."
        )


def _is_per_target(text: str, targets: Sequence[str]) -> bool:
    """Whether a text names a loss for each target; ``huber:delta=0.5`` is one loss with an option."""
    return "=" in text.partition(":")[0] or any(text.startswith(f"{target}=") for target in targets)


def _loss_of_target(target: str, text: str) -> Loss:
    name = text.partition(":")[0]
    if name not in PER_TARGET_LOSSES:
        raise UsageError(
            f"loss of {target!r} is {name!r}; expected one of {', '.join(map(repr, PER_TARGET_LOSSES))}."
        )
    return named_loss(text, of_target=target)
