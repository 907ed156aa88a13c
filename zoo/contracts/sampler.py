"""The contract of a sampler: logits in, index out; samplers chain with ``|``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from zoo.contracts.member import Member, check_kernel
from zoo.errors import DefinitionError, UsageError

if TYPE_CHECKING:
    import numpy as np

    Vector = np.ndarray[Any, Any]


class Sampler(Member, abstract=True):
    """A sampler: one kernel that reshapes logits, after which a symbol is drawn from their softmax.

    The kernel, decorated with ``@zoo.njit``, is a pure function::

        transform(logits, *options) -> logits

    from float64 logits ``(V,)`` to new ones; ``-inf`` takes a symbol out of the draw. At least one must stay.

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
            raise DefinitionError(f"{cls.who()}: transform is missing; add the @zoo.njit function transform(logits).")
        check_kernel(cls, "transform", ("logits",))

    def reshape(self, logits: Vector) -> Vector:
        """The transformed logits ``(V,)``, float64."""
        return self.kernel("transform")(logits, *self.options.values())  # type: ignore[no-any-return]

    def __or__(self, after: Sampler | Chain) -> Chain:
        return Chain((self,)) | after

    def __call__(self, logits: Vector, u: float) -> int:
        """Draw a symbol; see :meth:`Chain.__call__`."""
        return Chain((self,))(logits, u)

    def probabilities(self, logits: Vector) -> Vector:
        """The distribution drawn from; see :meth:`Chain.probabilities`."""
        return Chain((self,)).probabilities(logits)


class Chain:
    """Samplers applied one after the other, left to right; the empty chain draws from the plain softmax.

    Args:
        samplers: The samplers in order.
    """

    def __init__(self, samplers: tuple[Sampler, ...] = ()) -> None:
        self.samplers = samplers

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.samplers)) or "Chain()"

    def __or__(self, after: Sampler | Chain) -> Chain:
        return Chain((*self.samplers, *(after.samplers if isinstance(after, Chain) else (after,))))

    def probabilities(self, logits: Vector) -> Vector:
        """The distribution ``(V,)`` that a draw follows, float64, summing to one.

        Args:
            logits: Scores ``(V,)`` of any float dtype, not normalised.

        Raises:
            UsageError: if the logits are no vector, hold NaN, or leave no symbol to draw.
        """
        import numpy as np

        logits = np.array(logits, dtype=np.float64)
        if logits.ndim != 1 or logits.size == 0 or np.isnan(logits).any():
            raise UsageError(f"sampling needs a vector of logits without NaN; found shape {logits.shape}: {logits[:8]}.")
        for sampler in self.samplers:
            logits = sampler.reshape(logits)
        top = logits.max()
        if not np.isfinite(top):
            raise UsageError(f"sampling with {self!r}: the largest logit is {top}, so no symbol can be drawn.")
        weights = np.exp(logits - top)  # the largest becomes exp(0): huge logits cannot overflow
        return weights / weights.sum()

    def __call__(self, logits: Vector, u: float) -> int:
        """Draw the index of a symbol.

        Args:
            logits: Scores ``(V,)``.
            u: A uniform number in [0, 1), which alone decides the draw.

        Raises:
            UsageError: as :meth:`probabilities`.
        """
        import numpy as np

        cumulative = np.cumsum(self.probabilities(logits))
        # Scaling u instead of the sum keeps a rounded total below one from ever pointing past the end.
        return int(np.searchsorted(cumulative, u * cumulative[-1], side="right"))
