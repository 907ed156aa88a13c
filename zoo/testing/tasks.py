"""Laws that every task obeys, a function each: ``check_x(task)`` raises AssertionError if it is broken.

The docstring of a check is its law. A task is looked at with the options it has; laws about chance look at a
few hundred examples, always the same ones, so a verdict does not change by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import SkipTest

import numpy as np

from zoo.base import Batch, Task
from zoo.base.task import METRICS, PARTS, example_hashes
from zoo.errors import DefinitionError

Array = np.ndarray[Any, Any]

_SURE = 30.0
"""A score so high that a softmax or sigmoid of it is certain."""


def _require(task: Task, holds: bool | np.bool_, found: str, expected: str) -> None:
    if not holds:
        raise AssertionError(f"{task.label()}: found {found}, expected {expected}.")


def check_card_complete(task: Task) -> None:
    """The card says which variant this is, the help what options do, and a threshold has a source."""
    _require(task, bool(task.summary()), "no docstring", "a line that says what the task is")
    named = bool(task.card.variant.strip()) or not task.card.published
    _require(task, named, "a card without a variant", "which of the published ones it is")
    silent = [name for name, option in task.declared_options.items() if not option.help.strip()]
    explained = not silent or not task.card.published
    _require(task, explained, f"options {silent} without help", "a line of help each")
    sourced = task.threshold is None or bool(task.threshold_source.strip())
    _require(
        task, sourced, "a threshold without a source", "who says that it counts as solved, or why it does"
    )


def check_shapes(task: Task) -> None:
    """Inputs, targets and weights have the shapes and values that sizes and loss say, in every part."""
    for part in PARTS:
        for size in (1, 5):
            where = f"{part}, {size} examples"
            try:
                batch = task.batch(0, size, 0, part)  # which checks shapes and the range of classes
            except DefinitionError as error:
                raise AssertionError(f"{error} ({where})") from error
            _check_inputs(task, batch, where)
            _check_targets(task, batch, where)


def _check_inputs(task: Task, batch: Batch, where: str) -> None:
    inputs, weights = batch.inputs, batch.weights
    floats = inputs.ndim == 2 or inputs.dtype.kind == "f"
    _require(task, floats, f"inputs {inputs.dtype}{inputs.shape} ({where})", "tokens or floats")
    _require(task, np.isfinite(inputs).all(), f"inputs that are not finite ({where})", "finite numbers")
    fits = weights.dtype.kind == "f"
    _require(task, fits, f"weights {weights.dtype}{weights.shape} ({where})", "floats (T, B)")
    asked = weights.any(axis=0).all()
    _require(task, asked, f"an example without weight ({where})", "a step that counts in each")


def _check_targets(task: Task, batch: Batch, where: str) -> None:
    targets = batch.targets
    if task.criterion.target == "class":
        return
    _require(task, targets.dtype.kind == "f", f"targets {targets.dtype}{targets.shape} ({where})", "floats")
    bounded = task.criterion.target != "probability" or (targets.min() >= 0 and targets.max() <= 1)
    _require(
        task,
        np.isfinite(targets).all() and bounded,
        f"targets of another range ({where})",
        "numbers that fit",
    )


def check_seed_decides(task: Task) -> None:
    """Index, size, seed and part decide a batch bit for bit, whatever was drawn before, in any instance."""
    again = type(task)(**task.options)
    for part in PARTS:
        for index, seed in ((3, 0), (0, 7)):
            first, second = task.batch(index, 4, seed, part), again.batch(index, 4, seed, part)
            _require(
                task, _same(first, second), f"two batches number {index} of {part}", "one, to the last bit"
            )
            again.batch(index + 1, 2, seed, part)
            _require(
                task,
                _same(first, again.batch(index, 4, seed, part)),
                "a batch that depends on others",
                "none",
            )


def check_batches_differ(task: Task) -> None:
    """Another number means other examples; training goes on to bring new ones."""
    batches = [task.batch(index, 8) for index in range(6)]
    different = {batch.inputs.tobytes() for batch in batches}
    _require(task, len(different) > 1, "six times the same batch", "different batches")


def check_parts_apart(task: Task) -> None:
    """Training, validation and test have no example in common, whatever the seeds."""
    if task.vocabulary is not None:
        raise SkipTest("windows of one text: what the text repeats, they repeat")
    seen = {part: _examples(task, part) for part in PARTS}
    for part, other in (("train", "valid"), ("train", "test"), ("valid", "test")):
        common = seen[part] & seen[other]
        _require(task, not common, f"{len(common)} examples both in {part} and in {other}", "none")


def _examples(task: Task, part: str) -> set[tuple[int, float]]:
    """What tells the examples of some batches apart: their length and their hash."""
    found = set()
    for index in range(8):
        for seed in (0, 1):
            inputs = task.batch(index, 32, seed, part).inputs
            found |= {(len(inputs), float(digest)) for digest in example_hashes(inputs)}
    return found


def check_perfect_is_best(task: Task) -> None:
    """Perfect answers have the best score there is, and wrong ones a worse one."""
    perfect = METRICS[task.metric].perfect if type(task).score is Task.score else None
    for part in PARTS:
        batch = task.batch(0, 8, 0, part)
        best, worse = task.score(_answers(task, batch), batch), task.score(-_answers(task, batch), batch)
        better = best > worse if task.higher_is_better else best < worse
        _require(
            task, better, f"{best:g} for right answers and {worse:g} for wrong ones", "the first to be better"
        )
        near = perfect is None or abs(best - perfect) < 1e-9
        _require(task, near, f"a score of {best:g} for right answers", f"{perfect}")
        if task.threshold is not None:
            _require(
                task, task.is_solved(best), f"{best:g} is not enough", f"the threshold {task.threshold:g}"
            )


def _answers(task: Task, batch: Batch) -> Array:
    """Outputs that are right at every step."""
    if task.criterion.target == "class":
        return np.where(np.arange(task.output_size) == batch.targets[..., None], _SURE, -_SURE)
    return batch.targets if task.criterion.target == "value" else (2 * batch.targets - 1) * _SURE


def check_threshold_beyond_baseline(task: Task) -> None:
    """The baseline is no solution: between it and the threshold something is to be learnt."""
    baseline = task.baseline()
    _require(task, np.isfinite(baseline), f"a baseline of {baseline}", "a finite number")
    _require(
        task, not task.is_solved(baseline), f"a baseline of {baseline:g}", f"worse than {task.threshold}"
    )


def check_baseline(task: Task) -> None:
    """The baseline is what the best answer from the input of the step alone gets, up to chance.

    That answer is learnt from training batches: for inputs of few different values a table of what is right
    at each, otherwise a linear function.
    """
    learnt = _Memoryless(task, [task.batch(index, 32) for index in range(32)])
    scores = [task.score(learnt.outputs(batch), batch) for batch in _measured(task)]
    found, spread = float(np.mean(scores)), float(np.std(scores) / max(len(scores) - 1, 1) ** 0.5)
    baseline = task.baseline()
    slack = 4 * spread + 0.05 * max(abs(baseline), 0.02)
    near = abs(found - baseline) <= slack
    _require(
        task, near, f"{found:.4g} without memory", f"the baseline {baseline:.4g}, give or take {slack:.2g}"
    )


def _measured(task: Task) -> Iterator[Batch]:
    for index in range(task.batch_count("test", 32) or 32):
        yield task.batch(index, 32, 0, "test")


class _Memoryless:
    """The best answer from the input of a step alone, learnt from batches."""

    MOST = 512  # different inputs for which a table is made

    def __init__(self, task: Task, batches: list[Batch]) -> None:
        self.task = task
        rows = [self._rows(batch) for batch in batches]
        inputs, targets = (np.concatenate([row[place] for row in rows]) for place in (0, 1))
        wanted = np.eye(task.output_size)[targets] if task.criterion.target == "class" else targets
        self.mean = wanted.mean(axis=0)
        self.values, codes = np.unique(inputs, axis=0, return_inverse=True)
        self.table = len(self.values) <= self.MOST
        if self.table:
            counts = np.bincount(codes.ravel(), minlength=len(self.values))[:, None]
            sums = np.zeros((len(self.values), task.output_size))
            np.add.at(sums, codes.ravel(), wanted)
            self.known = sums / counts
        else:
            self.known = np.linalg.lstsq(self._with_one(inputs), wanted, rcond=None)[0]

    @staticmethod
    def _rows(batch: Batch) -> tuple[Array, Array]:
        """Inputs ``(N, I)`` and targets of the steps that count."""
        counted = batch.weights > 0
        return batch.inputs[counted].reshape(counted.sum(), -1), batch.targets[counted]

    @staticmethod
    def _with_one(inputs: Array) -> Array:
        return np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)

    def outputs(self, batch: Batch) -> Array:
        """What it answers, ``(T, B, V)``, as a readout would."""
        inputs, _ = self._rows(batch)
        counted = batch.weights > 0
        found = np.zeros((*counted.shape, self.task.output_size))
        found[counted] = self._as_outputs(self._told(inputs))
        return found

    def _told(self, inputs: Array) -> Array:
        if not self.table:
            told: Array = self._with_one(inputs) @ self.known
            return told
        everything = np.concatenate([self.values, inputs])
        _, codes = np.unique(everything, axis=0, return_inverse=True)
        place = np.full(codes.max() + 1, -1)
        place[codes.ravel()[: len(self.values)]] = np.arange(len(self.values))
        found = place[codes.ravel()[len(self.values) :]]
        return np.where((found >= 0)[:, None], self.known[found], self.mean)

    def _as_outputs(self, told: Array) -> Array:
        """Means as a readout says them: scores of a softmax, values, or scores of sigmoids."""
        if self.task.criterion.target == "value":
            return told
        shares = np.clip(told, 1e-4, 1 - 1e-4)
        scores: Array = np.log(shares)
        return scores if self.task.criterion.target == "class" else scores - np.log1p(-shares)


def check_model_takes_it(task: Task) -> None:
    """A model of its sizes and loss takes its batches: a finite loss, gradient and score."""
    from zoo.kernels import pure_python
    from zoo.training.evaluation import evaluate_task
    from zoo.training.task_dataset import model_for

    with pure_python():
        model = model_for(task, "vanilla", hidden_size=3, threads=1)
        batch = task.batch(0, 2)
        loss, _ = model.loss_and_grad(batch.inputs, batch.targets, weights=batch.weights)
        found = evaluate_task(task, model, "valid", 1, 2)
    finite = np.isfinite([loss, found.loss, found.score]).all() and np.isfinite(model.grad).all()
    _require(task, finite, "a loss, gradient or score that is not finite", "finite numbers")


def _same(first: Batch, second: Batch) -> bool:
    return first.continues == second.continues and all(
        one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
        for one, other in zip(first[:3], second[:3], strict=True)
    )


TASK_CHECKS = [
    check_shapes,
    check_card_complete,
    check_seed_decides,
    check_batches_differ,
    check_parts_apart,
    check_perfect_is_best,
    check_threshold_beyond_baseline,
    check_baseline,
    check_model_takes_it,
]
