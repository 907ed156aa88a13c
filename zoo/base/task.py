"""How well answers fit: metrics of a readout's outputs against targets, by name.

The contract of a task: examples made from the numbers that decide them, and what counts as learnt.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from zoo.arguments import as_integer, check_seed, short_repr
from zoo.base.batch_checks import call_method, check_batch
from zoo.base.component import Member
from zoo.base.task_rng import Draws
from zoo.errors import DefinitionError, UsageError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Metric:
    """A metric.

    Args:
        of: From outputs ``(T, B, V)``, targets and weights ``(T, B)`` to a number.
        higher_is_better: Which way is better.
        perfect: The value of perfect answers.
    """

    of: Callable[[Array, Array, Array], float]
    higher_is_better: bool
    perfect: float


def _accuracy(outputs: Array, targets: Array, weights: Array) -> float:
    """The share of steps that are right, each as much as it counts."""
    return float((_right(outputs, targets) * weights).sum() / weights.sum())


def _sequence_accuracy(outputs: Array, targets: Array, weights: Array) -> float:
    """The share of sequences that are right at every step that counts."""
    return float((_right(outputs, targets) | (weights == 0)).all(axis=0).mean())


def _squared_error(outputs: Array, targets: Array, weights: Array) -> float:
    """The mean squared error."""
    import numpy as np

    error = np.square(outputs.astype(np.float64) - targets).mean(axis=-1)
    return float((error * weights).sum() / weights.sum())


def _nats(outputs: Array, targets: Array, weights: Array) -> float:
    """The mean cross-entropy of the softmax, in nats."""
    import numpy as np

    scores = outputs.astype(np.float64)
    scores = scores - scores.max(axis=-1, keepdims=True)
    right = np.take_along_axis(scores, targets[..., None], axis=-1)[..., 0]
    losses = np.log(np.exp(scores).sum(axis=-1)) - right
    return float((losses * weights).sum() / weights.sum())


def _right(outputs: Array, targets: Array) -> Array:
    """Whether each step is right: the class, or each of the sigmoids on its side of a half."""
    if targets.ndim == 2:
        found: Array = outputs.argmax(axis=-1) == targets
    else:
        found = ((outputs > 0) == (targets > 0.5)).all(axis=-1)
    return found


METRICS = {
    "accuracy": Metric(_accuracy, higher_is_better=True, perfect=1.0),
    "sequence_accuracy": Metric(_sequence_accuracy, higher_is_better=True, perfect=1.0),
    "squared_error": Metric(_squared_error, higher_is_better=False, perfect=0.0),
    "nats": Metric(_nats, higher_is_better=False, perfect=0.0),
}

LOSSES = ("cross_entropy", "squared_error", "binary")

PARTS = ("train", "valid", "test")

Share = tuple[float, float]

WHOLE: Share = (0.0, 1.0)

_MOST_EXAMPLES = 2**31

_ATTEMPTS = 5

_FOURFOLD = 4


class Batch(NamedTuple):
    """Examples side by side, time first.

    Attributes:
        inputs: Tokens ``(T, B)`` or numbers ``(T, B, I)``.
        targets: Classes ``(T, B)``, or numbers ``(T, B, V)``.
        weights: How much each step counts, ``(T, B)``: one where an answer is asked for, else zero.
        continues: Whether each row goes on where the same row of the batch before stopped, so that states are
            carried over.
    """

    inputs: Array
    targets: Array
    weights: Array
    continues: bool = False

    def rows(self, chosen: Any) -> Batch:
        """Some of the examples, by their places or a mask ``(B,)``."""
        return Batch(self.inputs[:, chosen], self.targets[:, chosen], self.weights[:, chosen], self.continues)


class Task(Member, abstract=True):
    """A task: what goes in, what shall come out, and what is counted.

    A task draws its examples, any number of them at a time, as arrays::

        class Echo(zoo.Task):
            delay = zoo.Option(3, help="steps between hearing and saying", low=1)
            input_size = output_size = 8

            def draw(self, draws, size, part):
                said = draws.integers(0, 8, 20, size)
                heard = ...
                return zoo.Batch(heard, said, weights)

            def baseline(self):
                return 1 / 8

    The numbers come from ``draws`` (:class:`zoo.Draws`), which the seed, the part and the number of the batch
    decide, so a batch is a pure function of those. Which examples are for training and which are not, zoo
    decides by a hash of their inputs: no example is in two parts, whatever the seeds. A task that keeps its
    parts apart itself, say by length, says so in ``shares``. One that has its examples already, a data set or
    a text, has ``take`` instead of ``draw``, and ``batches_of`` if it ends.

    Args:
        **options: Values for the declared options.

    Raises:
        DefinitionError: when the class is defined, if it is not well formed.
        UsageError: for an unknown option or a value that is not allowed.
    """

    kind: ClassVar[str] = "task"
    loss: ClassVar[str] = "cross_entropy"
    """``"cross_entropy"``, ``"squared_error"`` or ``"binary"``, as for :class:`zoo.SequenceModel`."""
    metric: ClassVar[str] = "accuracy"
    """What :meth:`score` is: ``"accuracy"``, ``"sequence_accuracy"``, ``"squared_error"`` or ``"nats"``."""
    threshold: ClassVar[float | None] = None
    """The score that counts as solved; None if nobody says."""
    threshold_source: ClassVar[str] = ""
    """Who says so: a reference, or why this value."""
    shares: ClassVar[Mapping[str, Share]] = MappingProxyType(
        {"train": (0.0, 0.75), "valid": (0.75, 0.875), "test": (0.875, 1.0)}
    )
    """For each part, between which numbers the hash of an example lies, as a share of all hashes."""

    @classmethod
    def _check_class(cls) -> None:
        super()._check_class()
        for names in (("input_size",), ("output_size",), ("draw", "take"), ("baseline",)):
            if all(getattr(cls, name) is getattr(Task, name) for name in names):
                missing = " or ".join(names)
                raise DefinitionError(f"{cls.who()}: {missing} is missing; see zoo.Task for what a task has.")
        for name, known in (("loss", LOSSES), ("metric", tuple(METRICS))):
            if getattr(cls, name) not in known:
                raise DefinitionError(
                    f"{cls.who()}: {name} is {getattr(cls, name)!r}; expected one of {', '.join(known)}."
                )
        if set(cls.shares) != set(PARTS):
            raise DefinitionError(
                f"{cls.who()}: shares are those of {', '.join(map(str, cls.shares))}; expected one for each "
                f"of {', '.join(PARTS)}."
            )

    @property
    def input_size(self) -> int:
        """``I``: numbers at every step, or different tokens."""
        raise NotImplementedError

    @property
    def output_size(self) -> int:
        """``V``: classes, or numbers, of an answer."""
        raise NotImplementedError

    @property
    def vocabulary(self) -> Sequence[str] | Sequence[int] | None:
        """The symbols, if inputs and answers are those of a text; its model is a language model then."""
        return None

    @property
    def higher_is_better(self) -> bool:
        """Which way a score is better."""
        return METRICS[self.metric].higher_is_better

    def draw(self, draws: Draws, size: int, part: str) -> Batch:
        """So many examples.

        Args:
            draws: Where every random number comes from.
            size: ``B``.
            part: ``"train"``, ``"valid"`` or ``"test"``, for tasks whose parts differ.
        """
        raise NotImplementedError

    def baseline(self) -> float:
        """The best score that can be had without memory, from the input of the step alone."""
        raise NotImplementedError

    def batches_of(self, part: str, size: int) -> int | None:  # noqa: ARG002 - for those that have an end
        """How many batches hold all of a part, where it has an end; None where new examples never end."""
        return None

    def batch(self, index: int, size: int, seed: int = 0, part: str = "train") -> Batch:
        """A batch, a pure function of its arguments and of the options.

        Args:
            index: Number of the batch, from 0.
            size: Examples in it, ``B``.
            seed: Another seed gives other examples of the same part.
            part: ``"train"``, ``"valid"`` or ``"test"``; no two parts share an example.

        Raises:
            UsageError: if an argument does not fit, or the part has hardly any examples with these options.
            DefinitionError: if ``draw`` or ``take`` raises an exception or returns what does not fit.
        """
        index = as_integer(index, f"{self.label()}: index", 0)
        size = as_integer(size, f"{self.label()}: size", 1, _MOST_EXAMPLES)
        seed = check_seed(seed, f"{self.label()}: seed")
        if not isinstance(part, str) or part not in PARTS:
            raise UsageError(
                f"{self.label()}: part is {short_repr(part)}; expected one of {', '.join(PARTS)}."
            )
        method = "take" if type(self).take is not Task.take else "draw"
        return check_batch(self, method, call_method(self, "take", index, size, seed, part), size)

    def take(self, index: int, size: int, seed: int, part: str) -> Batch:
        """What :meth:`batch` gives, of arguments that fit: as many examples are drawn as it takes.

        Raises:
            UsageError: if the part has hardly any examples with these options.
        """
        low, high = self.shares[part]
        if (low, high) == WHOLE:
            return self._drawn(seed, part, index, size)
        wanted = math.ceil(size * 1.2 / (high - low)) + 8
        for _ in range(_ATTEMPTS):
            found = self._drawn(seed, part, index, wanted)
            places = digests(found.inputs)
            chosen = ((places >= low) & (places < high)).nonzero()[0]
            if len(chosen) >= size:
                return found.rows(chosen[:size])
            wanted *= _FOURFOLD
        raise UsageError(
            f"{self!r}: of {wanted // _FOURFOLD:,} examples {len(chosen)} are for {part!r}; there are too "
            f"few different ones with these options to divide among training, validation and test."
        )

    def _drawn(self, seed: int, part: str, index: int, size: int) -> Batch:
        found = call_method(self, "draw", Draws(self.name, seed, part, index), size, part)
        return check_batch(self, "draw", found, size)

    def score(self, outputs: Array, batch: Batch) -> float:
        """The metric of a readout's outputs.

        Args:
            outputs: ``(T, B, V)``, before a softmax or sigmoid.
            batch: What was asked.
        """
        return METRICS[self.metric].of(outputs, batch.targets, batch.weights)

    def is_solved(self, score: float) -> bool:
        """Whether a score is as good as the threshold."""
        if self.threshold is None:
            return False
        return score >= self.threshold if self.higher_is_better else score <= self.threshold

    def fingerprint(self) -> str:
        """SHA-256 of some examples of every part: another one means other data."""
        digest = hashlib.sha256()
        for part in PARTS:
            for array in self.batch(0, 4, 0, part)[:3]:
                digest.update(f"{array.dtype.kind}{array.shape}".encode())
                digest.update(array.astype("<f8").tobytes())
        return digest.hexdigest()


def digests(inputs: Array) -> Array:
    """A number in [0, 1) for each example ``(T, B)`` or ``(T, B, I)``, a hash of all that it holds: ``(B,)``.

    A sum of odd multiples of the numbers' bits modulo 2**64, then mixed as SplitMix64 does.
    """
    import numpy as np

    steps, rows = inputs.shape[:2]
    numbers = (np.asarray(inputs, np.float64) + 0.0).reshape(steps, rows, -1).view(np.uint64)  # no -0.0
    factors = Draws("digests", steps, numbers.shape[2])._bits.random_raw(steps * numbers.shape[2])
    factors = (factors | np.uint64(1)).reshape(steps, 1, -1)
    total = (_mix(numbers) * factors).sum(axis=(0, 2), dtype=np.uint64)
    found: Array = (_mix(total) >> np.uint64(11)) * 2.0**-53
    return found


def _mix(bits: Array) -> Array:
    """SplitMix64's output function on every number, see :mod:`zoo.kernels.random`."""
    import numpy as np

    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: Array = bits ^ (bits >> np.uint64(31))
    return found
