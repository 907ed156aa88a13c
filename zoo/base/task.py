"""Base class of tasks: generators of examples with a known answer."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from zoo.arguments import as_integer, check_seed, short_repr
from zoo.base.batch import Batch, check_batch
from zoo.base.component import Component
from zoo.base.data_kinds import PARTS
from zoo.base.loss import Loss, loss_table
from zoo.base.metric import METRICS, higher_is_better
from zoo.base.task_rng import TaskRng
from zoo.errors import DefinitionError, UsageError, ZooError

if TYPE_CHECKING:
    from zoo.array_types import Array


HashRange = tuple[float, float]

FULL_RANGE: HashRange = (0.0, 1.0)

_MAX_EXAMPLES = 2**31

_MAX_ATTEMPTS = 5

_GROWTH = 4


class Task(Component, abstract=True):
    """A task: a generator of examples with a known answer, a score, and a baseline.

    A task computes any number of examples as arrays::

        class Echo(zoo.Task):
            delay = zoo.Option(3, help="steps between a token and its echo", low=1)
            input_size = output_size = 8

            def draw_examples(self, rng, size, part):
                tokens = rng.integers(0, 8, 20, size)
                targets = ...
                return zoo.Batch(tokens, targets, weights)

            def baseline(self):
                return 1 / 8

    The seed, the part and the number of the batch determine ``rng`` (:class:`zoo.TaskRng`), so a batch is a
    pure function of the three. A hash of the inputs assigns each example to training, validation or test: no
    example is in two parts, whatever the seed. A task that separates its parts itself, for example by length,
    sets ``split_ranges``. A task with stored examples, a data set or a text, overrides ``make_batch`` in
    place of ``draw_examples``, and ``batch_count`` if the examples end.

    Args:
        **options: Values for the declared options.

    Raises:
        DefinitionError: when the class is defined, if it is not well formed.
        UsageError: for an unknown option or a value that is not allowed.
    """

    kind: ClassVar[str] = "task"
    loss: ClassVar[str | Loss] = "cross_entropy"
    """A loss, as for :class:`zoo.SequenceModel`."""
    metric: ClassVar[str] = ""
    """The :meth:`score`, one of ``METRICS``; that of the loss if the task has none."""
    _has_metric_of_loss: ClassVar[bool] = False
    threshold: ClassVar[float | None] = None
    """The score from which the task counts as solved; None if there is none."""
    threshold_source: ClassVar[str] = ""
    """The reference for the threshold, or the reason for its value; empty without a threshold."""
    no_threshold: ClassVar[str] = ""
    """The reason why a task has no threshold; empty if it has one."""
    split_ranges: ClassVar[Mapping[str, HashRange]] = MappingProxyType(
        {"train": (0.0, 0.75), "valid": (0.75, 0.875), "test": (0.875, 1.0)}
    )
    """For each part, the range in [0, 1) of the hashes of its examples."""

    @classmethod
    def _check_class(cls) -> None:
        super()._check_class()
        for names in (("input_size",), ("output_size",), ("draw_examples", "make_batch"), ("baseline",)):
            if all(getattr(cls, name) is getattr(Task, name) for name in names):
                missing = " or ".join(names)
                raise DefinitionError(
                    f"{cls.error_name()}: {missing} is missing; see zoo.Task for what a task has."
                )
        if not isinstance(cls.loss, Loss) and cls.loss not in tuple(loss_table()):
            raise DefinitionError(
                f"{cls.error_name()}: loss is {cls.loss!r}; expected one of {', '.join(loss_table())}, or "
                f"one with options, as zoo.get_loss('huber', delta=0.1)."
            )
        if not cls.metric or (cls._has_metric_of_loss and "metric" not in vars(cls)):
            cls.metric, cls._has_metric_of_loss = cls._loss().metric, True
        if cls.metric not in tuple(METRICS):
            raise DefinitionError(
                f"{cls.error_name()}: metric is {cls.metric!r}; expected one of {', '.join(METRICS)}."
            )
        if set(cls.split_ranges) != set(PARTS):
            raise DefinitionError(
                f"{cls.error_name()}: split_ranges has {', '.join(map(str, cls.split_ranges))}; expected a "
                f"range for each of {', '.join(PARTS)}."
            )

    @property
    def input_size(self) -> int:
        """``I``, the number of input features or of different tokens."""
        raise NotImplementedError

    @property
    def output_size(self) -> int:
        """``V``, the number of classes or of output features."""
        raise NotImplementedError

    @property
    def vocabulary(self) -> Sequence[str] | Sequence[int] | None:
        """The symbols of a text task, whose model is a language model; None for other tasks."""
        return None

    @property
    def criterion(self) -> Loss:
        """The loss."""
        return self._loss()

    @classmethod
    def _loss(cls) -> Loss:
        return cls.loss if isinstance(cls.loss, Loss) else loss_table()[cls.loss]

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher score is better."""
        return higher_is_better(self.metric)

    def draw_examples(self, rng: TaskRng, size: int, part: str) -> Batch:
        """Compute ``size`` examples.

        Args:
            rng: The only source of random numbers.
            size: Number of examples, ``B``.
            part: ``"train"``, ``"valid"`` or ``"test"``, for tasks whose parts differ.
        """
        raise NotImplementedError

    def baseline(self) -> float:
        """The best score without memory, from the input of the same step alone."""
        raise NotImplementedError

    def batch_count(self, part: str, size: int) -> int | None:  # noqa: ARG002 - for tasks that end
        """The number of batches in a part, which all have ``size`` examples; None if they never end."""
        return None

    def batch(self, index: int, size: int, seed: int = 0, part: str = "train") -> Batch:
        """Return a batch, a pure function of the arguments and the options.

        Args:
            index: Number of the batch, from 0.
            size: Number of examples, ``B``.
            seed: Another seed gives other examples of the same part.
            part: ``"train"``, ``"valid"`` or ``"test"``; no two parts share an example.

        Raises:
            UsageError: if an argument does not fit, or the part has hardly any examples with these options.
            DefinitionError: if ``draw_examples`` or ``make_batch`` raises, or returns an invalid batch.
        """
        index = as_integer(index, f"{self.label()}: index", 0)
        size = as_integer(size, f"{self.label()}: size", 1, _MAX_EXAMPLES)
        seed = check_seed(seed, f"{self.label()}: seed")
        if not isinstance(part, str) or part not in PARTS:
            raise UsageError(
                f"{self.label()}: part is {short_repr(part)}; expected one of {', '.join(PARTS)}."
            )
        method = "make_batch" if type(self).make_batch is not Task.make_batch else "draw_examples"
        batch = check_batch(self, method, call_method(self, "make_batch", index, size, seed, part), size)
        if part == "train" and batch.context is not None:
            raise DefinitionError(
                f"{self.label()}: {method}: found a context in a training batch, expected None. Only "
                f"validation and test run a model on its own outputs."
            )
        return batch

    def make_batch(self, index: int, size: int, seed: int, part: str) -> Batch:
        """Draw examples until ``size`` of them belong to the part; :meth:`batch` has checked the arguments.

        Raises:
            UsageError: if the part has hardly any examples with these options.
        """
        low, high = self.split_ranges[part]
        if (low, high) == FULL_RANGE:
            return self._draw_checked(seed, part, index, size)
        count = math.ceil(size * 1.2 / (high - low)) + 8
        for _ in range(_MAX_ATTEMPTS):
            candidates = self._draw_checked(seed, part, index, count)
            hashes = example_hashes(candidates.inputs)
            in_part = ((hashes >= low) & (hashes < high)).nonzero()[0]
            if len(in_part) >= size:
                return candidates.rows(in_part[:size])
            count *= _GROWTH
        raise UsageError(
            f"{self!r}: of {count // _GROWTH:,} examples {len(in_part)} are for {part!r}; there are too "
            f"few different ones with these options to divide among training, validation and test."
        )

    def _draw_checked(self, seed: int, part: str, index: int, size: int) -> Batch:
        batch = call_method(self, "draw_examples", TaskRng(self.name, seed, part, index), size, part)
        return check_batch(self, "draw_examples", batch, size)

    def score(self, outputs: Array, batch: Batch) -> float:
        """The metric of a readout's outputs.

        Args:
            outputs: ``(T, B, V)``, before a softmax or sigmoid.
            batch: The batch that was answered.
        """
        return METRICS[self.metric].score(outputs, batch.targets, batch.weights)

    def is_solved(self, score: float) -> bool:
        """Whether a score reaches the threshold."""
        if self.threshold is None:
            return False
        return score >= self.threshold if self.higher_is_better else score <= self.threshold

    def fingerprint(self) -> str:
        """SHA-256 of some examples of every part, by which a run recognises that its data have changed.

        A task with stored examples may override it, to include the digest of all of them.
        """
        digest = hashlib.sha256()
        for part in PARTS:
            batch = self.batch(0, 4, 0, part)
            for array in (*batch[:3], *(batch.aux[name] for name in sorted(batch.aux))):
                digest.update(f"{array.dtype.kind}{array.shape}".encode())
                digest.update(array.astype("<f8").tobytes())
        return digest.hexdigest()


def example_hashes(inputs: Array) -> Array:
    """A hash in [0, 1) of each example, for inputs ``(T, B)`` or ``(T, B, I)``: ``(B,)``.

    The sum of odd multiples of the bits of all values modulo 2**64, mixed by SplitMix64.
    """
    import numpy as np

    steps, rows = inputs.shape[:2]
    numbers = (np.asarray(inputs, np.float64) + 0.0).reshape(steps, rows, -1).view(np.uint64)  # no -0.0
    factors = TaskRng("digests", steps, numbers.shape[2])._bits.random_raw(steps * numbers.shape[2])
    factors = (factors | np.uint64(1)).reshape(steps, 1, -1)
    total = (_splitmix64(numbers) * factors).sum(axis=(0, 2), dtype=np.uint64)
    hashes: Array = (_splitmix64(total) >> np.uint64(11)) * 2.0**-53
    return hashes


def _splitmix64(bits: Array) -> Array:
    """The output function of SplitMix64, see :mod:`zoo.kernels.random`."""
    import numpy as np

    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Array = bits ^ (bits >> np.uint64(31))
    return mixed


def call_method(task: Task, method: str, *arguments: Any) -> Any:
    """Call a method of a task.

    Raises:
        DefinitionError: if it raises an exception that is not zoo's, with its file and line.
    """
    try:
        return getattr(task, method)(*arguments)
    except (ZooError, MemoryError):
        raise
    except Exception as error:
        from zoo.foreign_errors import error_text  # imports pluggy

        raise DefinitionError(f"{task.label()}: {method} raised {error_text(error)}.") from error


def reads_tokens(task: Task) -> bool:
    """Whether the inputs of a task are tokens, and not features."""
    inputs = call_method(task, "batch", 0, 1).inputs
    return bool(inputs.ndim == 2)


def embedding_error(task: Task, embedding: int) -> UsageError:
    """The error for an embedding of a task that has features as inputs."""
    return UsageError(
        f"embedding is {embedding}, and the inputs of the task {task.name!r} are features, not tokens; leave "
        f"out `embedding`, or the task."
    )
