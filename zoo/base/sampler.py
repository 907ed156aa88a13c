"""The contract of a sampler: logits in, index out; samplers chain with ``|``."""

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
    import numpy as np

    Vector = np.ndarray[Any, Any]


class Sampler(Component, abstract=True):
    """A sampler: one kernel that reshapes logits, after which a symbol is drawn from their softmax.

    The kernel, decorated with ``@zoo.njit``, is a pure function::

        transform(logits, *options) -> logits

    from float64 logits ``(V,)`` to new ones, also float64 ``(V,)``. It may rely on at least one finite logit,
    no NaN and no ``+inf``; ``-inf`` takes a symbol out of the draw, and at least one symbol must stay. A
    static method ``reference`` of the same arguments may define it in plain NumPy, for ``zoo check``.

    Args:
        **options: Values for the declared options.

    Raises:
        DefinitionError: when the class is defined, if it is not well formed.
        UsageError: for an unknown option or a value that is not allowed.
    """

    kind: ClassVar[str] = "sampler"

    @classmethod
    def _check_class(cls) -> None:
        super()._check_class()
        if not hasattr(cls, "transform"):
            raise DefinitionError(
                f"{cls.error_name()}: transform is missing; add the @zoo.njit function transform(logits)."
            )
        check_kernel_signature(cls, "transform", ("logits",))

    def reshape(self, logits: Vector) -> Vector:
        """The transformed logits ``(V,)``, float64; nothing is checked here, :class:`Chain` does that."""
        kernel, options = self._call
        return kernel(logits, *options)  # type: ignore[no-any-return]

    @functools.cached_property
    def _call(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """The kernel and what follows the logits, looked up once: a draw takes microseconds."""
        return self.kernel("transform"), tuple(self.options.values())

    def describe(self) -> str:
        """A short name with the options chosen: ``greedy``, ``top_k=40``, ``mine(a=1, b=2)``."""
        if len(self.options) == 1:
            return f"{self.name}={next(iter(self.options.values()))}"
        chosen = ", ".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.name}({chosen})" if chosen else self.name

    def __or__(self, after: Sampler | Chain) -> Chain:
        return Chain((self,)) | after

    def __call__(self, logits: Vector, u: float) -> int:
        """Draw a symbol; see :meth:`Chain.__call__`."""
        return Chain((self,))(logits, u)

    def probabilities(self, logits: Vector) -> Vector:
        """The distribution drawn from; see :meth:`Chain.probabilities`."""
        return Chain((self,)).probabilities(logits)


@dataclass(frozen=True)
class Chain:
    """Samplers applied one after the other, left to right; the empty chain draws from the plain softmax.

    Order matters: ``Temperature(temperature=2.0) | TopP(p=0.75)`` flattens the distribution before it looks
    for the nucleus, and keeps more symbols than ``TopP(p=0.75) | Temperature(temperature=2.0)``.

    Args:
        samplers: The samplers in order.

    Raises:
        UsageError: if something in it is not a sampler with its options chosen.
    """

    samplers: tuple[Sampler, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what could only fail at the first draw, such as a class in place of an instance."""
        for stranger in _invalid_items(self.samplers):
            raise UsageError(
                f"zoo.Chain: found {short_repr(stranger)}; expected a tuple of samplers with their options "
                f"chosen, put together as in `get_sampler('temperature', temperature=0.8) | "
                f"get_sampler('top_k', k=40)`."
            )

    def __or__(self, after: Sampler | Chain) -> Chain:
        if isinstance(after, Sampler):
            return Chain((*self.samplers, after))
        return Chain((*self.samplers, *after.samplers)) if isinstance(after, Chain) else NotImplemented

    def describe(self) -> str:
        """One short line for people: ``temperature=0.8, top_k=40``; the empty chain is ``softmax``."""
        return ", ".join(sampler.describe() for sampler in self.samplers) or "softmax"

    def probabilities(self, logits: Vector) -> Vector:
        """The distribution ``(V,)`` that a draw follows, float64, summing to one.

        Args:
            logits: Scores ``(V,)``, not normalised; ``-inf`` marks a symbol that is never drawn.

        Raises:
            UsageError: if the logits, as given or after a sampler of the chain, are no vector of numbers,
                hold NaN or ``+inf``, or leave no symbol to draw.
        """
        import numpy as np

        scores = _as_float64(logits)
        with np.errstate(over="ignore"):  # a distance beyond float64 becomes -inf, which is what it means
            for sampler in self.samplers:
                scores = _check_logits(sampler.reshape(scores), scores.size, sampler)
            # With the largest at exp(0), huge logits cannot overflow.
            weights: Vector = np.exp(scores - scores.max())
        weights /= weights.sum()
        return weights

    def __call__(self, logits: Vector, u: float) -> int:
        """Draw the index of a symbol, by inverting the cumulative distribution.

        Args:
            logits: Scores ``(V,)``.
            u: A uniform number in [0, 1), which alone decides the draw.

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
        # rounds to less than it: the symbol found is where the sum rises, never one of probability zero.
        return int(np.searchsorted(cumulative, u * cumulative[-1], side="right"))


def _invalid_items(samplers: object) -> list[object]:
    """What cannot stand in a chain."""
    return [s for s in samplers if not isinstance(s, Sampler)] if isinstance(samplers, tuple) else [samplers]


def _as_float64(logits: Vector) -> Vector:
    """The logits as a float64 copy, which samplers may not harm."""
    import numpy as np

    from zoo.arrays import as_array

    found = as_array(logits, "sampling: logits")
    if found.ndim != 1 or found.size == 0 or found.dtype.kind not in "fiu":
        raise UsageError(
            f"sampling: found {found.dtype} of shape {found.shape}; expected the logits of one step, "
            f"a vector of one number or more."
        )
    return _check_logits(np.array(found, dtype=np.float64), found.size)


def _check_logits(scores: Vector, size: int, after: Sampler | None = None) -> Vector:
    """The scores themselves, if a symbol can be drawn from them."""
    import numpy as np

    if scores.shape == (size,) and scores.dtype == np.float64 and math.isfinite(scores.max()):
        return scores
    who = f"logits after {after.describe()}" if after else "logits"
    raise UsageError(f"sampling: the {who} {_invalid_reason(scores, size)}")


def _invalid_reason(scores: Vector, size: int) -> str:
    """Why no symbol can be drawn: the rest of the sentence."""
    import numpy as np

    if scores.shape != (size,) or scores.dtype != np.float64:
        return f"are {scores.dtype} of shape {scores.shape}; expected float64 of shape ({size},)."
    wrong = np.flatnonzero(np.isnan(scores) | (scores == np.inf))
    if wrong.size == 0:
        return "are all -inf; expected at least one symbol that can be drawn."
    return (
        f"hold {scores[wrong[0]]} at index {wrong[0]}; expected numbers, or -inf for a symbol never drawn. "
        f"A model that has diverged gives such logits."
    )
