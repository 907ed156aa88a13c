"""Base class of samplers, which transform logits, and chains of samplers."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from zoo.arguments import as_number, short_repr
from zoo.base.component import Component, check_kernel_signature
from zoo.errors import DefinitionError, UsageError

if TYPE_CHECKING:
    from zoo.array_types import Vector


class Sampler(Component, abstract=True):
    """A sampler: a kernel that transforms logits, from whose softmax a token is then drawn.

    The kernel, decorated with ``@zoo.njit``, is a pure function::

        transform(logits, *options) -> logits

    from float64 logits ``(V,)`` to new ones, also float64 ``(V,)``. At least one logit is finite, and none is
    NaN or ``+inf``. A logit of ``-inf`` excludes a token, and at least one token must remain. A static method
    ``reference`` with the same arguments may define it in plain NumPy, for ``zoo check``.

    Args:
        **options: Values for the declared options.

    Raises:
        DefinitionError: when the class is defined, if it is not well formed.
        UsageError: for an unknown option or a value that is not allowed.
    """

    kind: ClassVar[str] = "sampler"
    _subclass_names = (*Component._subclass_names, "transform")

    @classmethod
    def _check_class(cls) -> None:
        super()._check_class()
        if not hasattr(cls, "transform"):
            raise DefinitionError(
                f"{cls.error_name()}: transform is missing; add the @zoo.njit function transform(logits)."
            )
        check_kernel_signature(cls, "transform", ("logits",))

    def apply(self, logits: Vector) -> Vector:
        """Transform logits ``(V,)``, float64, without the checks of :class:`Chain`."""
        kernel, options = self._call
        return kernel(logits, *options)  # type: ignore[no-any-return]

    @functools.cached_property
    def _call(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """The kernel and its options, cached since a draw takes microseconds."""
        return self.kernel("transform"), tuple(self.options.values())

    def describe(self) -> str:
        """A short name with the options chosen: ``greedy``, ``top_k=40``, ``mine(a=1, b=2)``."""
        if len(self.options) == 1:
            return f"{self.name}={next(iter(self.options.values()))}"
        chosen = ", ".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.name}({chosen})" if chosen else self.name

    def __or__(self, other: Sampler | Chain) -> Chain:
        return Chain((self,)) | other

    def __ror__(self, other: object) -> Chain:
        """Raise an error: only samplers and chains stand to the left."""
        raise _not_chainable(other)

    def __call__(self, logits: Vector, u: float) -> int:
        """Draw a token; see :meth:`Chain.__call__`."""
        return Chain((self,))(logits, u)

    def probabilities(self, logits: Vector) -> Vector:
        """The distribution of the draw; see :meth:`Chain.probabilities`."""
        return Chain((self,)).probabilities(logits)


@dataclass(frozen=True)
class Chain:
    """Samplers applied one after the other, left to right; the empty chain draws from the plain softmax.

    Order matters: ``Temperature(temperature=2.0) | TopP(p=0.75)`` flattens the distribution before it
    computes the nucleus, and keeps more tokens than ``TopP(p=0.75) | Temperature(temperature=2.0)``.

    Args:
        samplers: The samplers in order.

    Raises:
        UsageError: if an item is not a sampler with its options chosen.
    """

    samplers: tuple[Sampler, ...] = ()

    def __post_init__(self) -> None:
        """Refuse invalid items, such as a class in place of an instance, before the first draw."""
        for item in _invalid_items(self.samplers):
            raise UsageError(
                f"zoo.Chain: found {short_repr(item)}; expected a tuple of samplers with their options "
                f"chosen, put together as in `get_sampler('temperature', temperature=0.8) | "
                f"get_sampler('top_k', k=40)`."
            )

    def __or__(self, other: Sampler | Chain) -> Chain:
        if isinstance(other, Sampler):
            return Chain((*self.samplers, other))
        if isinstance(other, Chain):
            return Chain((*self.samplers, *other.samplers))
        raise _not_chainable(other)

    def __ror__(self, other: object) -> Chain:
        """Raise an error: only samplers and chains stand to the left."""
        raise _not_chainable(other)

    def describe(self) -> str:
        """A short description: ``temperature=0.8, top_k=40``; the empty chain is ``softmax``."""
        return ", ".join(sampler.describe() for sampler in self.samplers) or "softmax"

    def probabilities(self, logits: Vector) -> Vector:
        """The distribution ``(V,)`` of a draw, float64, summing to one.

        Args:
            logits: Scores ``(V,)``, not normalised; a token of ``-inf`` is never drawn.

        Raises:
            UsageError: if the logits, before or after a sampler of the chain, are not a vector of numbers,
                contain NaN or ``+inf``, or are all ``-inf``.
        """
        import numpy as np

        scores = _as_float64(logits)
        with np.errstate(over="ignore"):  # a difference beyond float64 becomes -inf, as it should
            for sampler in self.samplers:
                scores = _check_logits(sampler.apply(scores), scores.size, sampler)
            # With the largest at exp(0), huge logits cannot overflow.
            weights: Vector = np.exp(scores - scores.max())
        weights /= weights.sum()
        return weights

    def __call__(self, logits: Vector, u: float) -> int:
        """Draw the index of a token, by inverting the cumulative distribution.

        Args:
            logits: Scores ``(V,)``.
            u: A uniform number in [0, 1), the only randomness of the draw.

        Returns:
            An index of probability above zero, whatever ``u``.

        Raises:
            UsageError: as :meth:`probabilities`, or if ``u`` is outside [0, 1).
        """
        import numpy as np

        if not 0.0 <= as_number(u, "sampling: u", "a uniform number in [0, 1)") < 1.0:
            raise UsageError(f"sampling: u is {u!r}; expected a uniform number in [0, 1).")
        cumulative = np.cumsum(self.probabilities(logits))
        # The sum is one, give or take rounding. A float below one is at most 1 - 2**-53, so u times the sum
        # rounds to less than the sum: the index is where the sum rises, never one of probability zero.
        return int(np.searchsorted(cumulative, u * cumulative[-1], side="right"))


def _not_chainable(other: object) -> UsageError:
    name = repr(other) if isinstance(other, str) else "'greedy'"
    return UsageError(
        f"a sampler cannot be chained with {short_repr(other)}; expected a sampler, for example "
        f"zoo.get_sampler({name})."
    )


def _invalid_items(samplers: object) -> list[object]:
    return [s for s in samplers if not isinstance(s, Sampler)] if isinstance(samplers, tuple) else [samplers]


def _as_float64(logits: Vector) -> Vector:
    """A float64 copy of the logits, so that samplers cannot modify the caller's."""
    import numpy as np

    from zoo.arrays import as_array

    array = as_array(logits, "sampling: logits")
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "fiu":
        raise UsageError(
            f"sampling: found {array.dtype} of shape {array.shape}; expected the logits of one step, "
            f"a vector of one number or more."
        )
    return _check_logits(np.array(array, dtype=np.float64), array.size)


def _check_logits(scores: Vector, size: int, after: Sampler | None = None) -> Vector:
    """The logits, if a token can be drawn from them."""
    import numpy as np

    is_vector = isinstance(scores, np.ndarray) and scores.shape == (size,) and scores.dtype == np.float64
    if is_vector and math.isfinite(scores.max()):
        return scores
    name = f"logits after {after.describe()}" if after else "logits"
    reason = (
        _invalid_reason(scores)
        if is_vector
        else f"are {short_repr(scores)}; expected an array float64({size},)."
    )
    raise UsageError(f"sampling: the {name} {reason}")


def _invalid_reason(scores: Vector) -> str:
    """The reason why no token can be drawn, as the end of a sentence."""
    import numpy as np

    invalid = np.flatnonzero(np.isnan(scores) | (scores == np.inf))
    if invalid.size == 0:
        return "are all -inf; expected at least one symbol that can be drawn."
    return (
        f"hold {scores[invalid[0]]} at index {invalid[0]}; expected numbers, or -inf for a symbol never "
        f"drawn. A model that has diverged gives such logits."
    )
