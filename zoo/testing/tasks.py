"""The laws of a task: each ``check_x(task)`` raises AssertionError if its docstring does not hold.

Laws about randomness look at a few hundred examples, the same in every run, so that a result is reproducible.
"""

from __future__ import annotations

from unittest import SkipTest

import numpy as np

from zoo.array_types import Array
from zoo.base import Batch, Task
from zoo.base.data_kinds import PARTS
from zoo.base.metric import METRICS
from zoo.base.task import example_hashes
from zoo.errors import DefinitionError
from zoo.testing.assertions import require, require_docs

_CERTAIN = 30.0
"""A logit for which a softmax or sigmoid is certain."""


def check_card(task: Task) -> None:
    """The card names its variant, every option has a help text, and a threshold has a source."""
    require_docs(task, task.declared_options)
    sourced, excused = bool(task.threshold_source.strip()), bool(task.no_threshold.strip())
    if task.threshold is None:
        require(
            task,
            not sourced,
            "a source of a threshold that is None",
            "no threshold_source without a threshold",
        )
    else:
        require(task, sourced, "a threshold without a source", "a source or reason for the threshold")
        require(task, not excused, "a threshold and a reason for none", "one of the two")


def check_shapes(task: Task) -> None:
    """Inputs, targets and weights fit the sizes and the loss of the task, in every part."""
    for part in PARTS:
        for size in (1, 5):
            where = f"{part}, a batch of {size}"
            try:
                batch = task.batch(0, size, 0, part)  # which checks shapes and the range of classes
            except DefinitionError as error:
                raise AssertionError(f"{error} ({where})") from error
            _check_inputs(task, batch, where)
            _check_targets(task, batch, where)


def _check_inputs(task: Task, batch: Batch, where: str) -> None:
    inputs, weights = batch.inputs, batch.weights
    is_valid = inputs.ndim == 2 or inputs.dtype.kind == "f"
    require(task, is_valid, f"inputs {inputs.dtype}{inputs.shape} ({where})", "tokens or floats")
    require(task, np.isfinite(inputs).all(), f"inputs that are not finite ({where})", "finite numbers")
    fits = weights.dtype.kind == "f"
    require(task, fits, f"weights {weights.dtype}{weights.shape} ({where})", "floats (T, B)")
    has_weight = weights.any(axis=0).all()
    require(task, has_weight, f"an example without weight ({where})", "a step that counts in each")


def _check_targets(task: Task, batch: Batch, where: str) -> None:
    targets = batch.targets
    if task.criterion.target == "class":
        return
    require(task, targets.dtype.kind == "f", f"targets {targets.dtype}{targets.shape} ({where})", "floats")
    low, high = task.criterion.target_range
    bounded = targets.min() >= low and targets.max() <= high
    require(
        task,
        np.isfinite(targets).all() and bounded,
        f"targets of another range ({where})",
        task.criterion.target_text,
    )


def check_seed_decides(task: Task) -> None:
    """Index, size, seed and part determine a batch bitwise, in any instance and any order of calls."""
    other = type(task)(**task.options)
    for part in PARTS:
        for index, seed in ((3, 0), (0, 7)):
            first, second = task.batch(index, 4, seed, part), other.batch(index, 4, seed, part)
            require(
                task,
                _is_same_batch(first, second),
                f"two batches number {index} of {part}",
                "one, to the last bit",
            )
            other.batch(index + 1, 2, seed, part)
            require(
                task,
                _is_same_batch(first, other.batch(index, 4, seed, part)),
                "a batch that depends on others",
                "none",
            )


def check_batches_differ(task: Task) -> None:
    """Training batches with different indices have different examples."""
    batches = [task.batch(index, 8) for index in range(6)]
    different = {batch.inputs.tobytes() for batch in batches}
    require(task, len(different) > 1, "six times the same batch", "different batches")


def check_parts_disjoint(task: Task) -> None:
    """Training, validation and test have no example in common, for any seeds."""
    if task.vocabulary is not None:
        raise SkipTest("windows of one text may repeat, as the text does")
    keys = {part: _example_keys(task, part) for part in PARTS}
    for part, other in (("train", "valid"), ("train", "test"), ("valid", "test")):
        common = keys[part] & keys[other]
        require(task, not common, f"{len(common)} examples both in {part} and in {other}", "none")


def _example_keys(task: Task, part: str) -> set[tuple[int, float]]:
    """Lengths and hashes, which identify the examples of some batches."""
    keys = set()
    for index in range(8):
        for seed in (0, 1):
            inputs = task.batch(index, 32, seed, part).inputs
            keys |= {(len(inputs), float(digest)) for digest in example_hashes(inputs)}
    return keys


def check_perfect_is_best(task: Task) -> None:
    """Correct outputs have the best possible score, and wrong outputs a worse one."""
    perfect = METRICS[task.metric].perfect if type(task).score is Task.score else None
    for part in PARTS:
        batch = task.batch(0, 8, 0, part)
        best, worse = (
            task.score(_perfect_outputs(task, batch), batch),
            task.score(-_perfect_outputs(task, batch), batch),
        )
        better = best > worse if task.higher_is_better else best < worse
        require(
            task, better, f"{best:g} for right answers and {worse:g} for wrong ones", "the first to be better"
        )
        near = perfect is None or abs(best - perfect) < 1e-9
        require(task, near, f"a score of {best:g} for right answers", f"{perfect}")
        if task.threshold is not None:
            require(
                task, task.is_solved(best), f"{best:g} is not enough", f"the threshold {task.threshold:g}"
            )


def _perfect_outputs(task: Task, batch: Batch) -> Array:
    if task.criterion.target == "class":
        return np.where(np.arange(task.output_size) == batch.targets[..., None], _CERTAIN, -_CERTAIN)
    return batch.targets if task.criterion.target == "value" else (2 * batch.targets - 1) * _CERTAIN


def check_threshold_beyond_baseline(task: Task) -> None:
    """The baseline does not solve the task: it is worse than the threshold."""
    baseline = task.baseline()
    require(task, np.isfinite(baseline), f"a baseline of {baseline}", "a finite number")
    require(task, not task.is_solved(baseline), f"a baseline of {baseline:g}", f"worse than {task.threshold}")


def check_baseline(task: Task) -> None:
    """The baseline is the score of a memoryless model fitted to training batches, up to random variation.

    The model is a table of mean targets if the inputs have few distinct values, else a linear function.
    """
    baseline_model = _MemorylessBaseline(task, [task.batch(index, 32) for index in range(32)])
    batches = (task.batch(index, 32, 0, "test") for index in range(task.batch_count("test", 32) or 32))
    scores = [task.score(baseline_model.outputs(batch), batch) for batch in batches]
    score, spread = float(np.mean(scores)), float(np.std(scores) / max(len(scores) - 1, 1) ** 0.5)
    baseline = task.baseline()
    slack = 4 * spread + 0.05 * max(abs(baseline), 0.02)
    near = abs(score - baseline) <= slack
    require(
        task, near, f"{score:.4g} without memory", f"the baseline {baseline:.4g}, give or take {slack:.2g}"
    )


class _MemorylessBaseline:
    """The best answer from the input of a step alone, fitted to batches: a table or a linear function."""

    MAX_VALUES = 512  # the largest number of different inputs for a table

    def __init__(self, task: Task, batches: list[Batch]) -> None:
        self.task = task
        rows = [self._rows(batch) for batch in batches]
        inputs, targets = (np.concatenate(arrays) for arrays in zip(*rows, strict=True))
        answers = np.eye(task.output_size)[targets] if task.criterion.target == "class" else targets
        self.mean = answers.mean(axis=0)
        self.values, codes = np.unique(inputs, axis=0, return_inverse=True)
        self.is_table = len(self.values) <= self.MAX_VALUES
        if self.is_table:
            counts = np.bincount(codes.ravel(), minlength=len(self.values))[:, None]
            sums = np.zeros((len(self.values), task.output_size))
            np.add.at(sums, codes.ravel(), answers)
            self.coefficients = sums / counts
        else:
            design = self._with_one(inputs)  # its normal equations are several times faster to solve
            self.coefficients = np.linalg.lstsq(design.T @ design, design.T @ answers, rcond=None)[0]

    @staticmethod
    def _rows(batch: Batch) -> tuple[Array, Array]:
        """Inputs ``(N, I)`` and targets of the steps with a weight."""
        counted = batch.weights > 0
        return batch.inputs[counted].reshape(counted.sum(), -1), batch.targets[counted]

    @staticmethod
    def _with_one(inputs: Array) -> Array:
        return np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)

    def outputs(self, batch: Batch) -> Array:
        """Its answers as outputs of a readout, ``(T, B, V)``."""
        inputs, _ = self._rows(batch)
        counted = batch.weights > 0
        outputs = np.zeros((*counted.shape, self.task.output_size))
        outputs[counted] = self._as_outputs(self._predict(inputs))
        return outputs

    def _predict(self, inputs: Array) -> Array:
        if not self.is_table:
            linear: Array = self._with_one(inputs) @ self.coefficients
            return linear
        _, codes = np.unique(np.concatenate([self.values, inputs]), axis=0, return_inverse=True)
        rows = np.full(codes.max() + 1, -1)
        rows[codes.ravel()[: len(self.values)]] = np.arange(len(self.values))
        row = rows[codes.ravel()[len(self.values) :]]
        return np.where((row >= 0)[:, None], self.coefficients[row], self.mean)

    def _as_outputs(self, means: Array) -> Array:
        """Convert means to logits of a softmax, values, or logits of sigmoids."""
        if self.task.criterion.target == "value":
            return means
        probabilities = np.clip(means, 1e-4, 1 - 1e-4)
        scores: Array = np.log(probabilities)
        return scores if self.task.criterion.target == "class" else scores - np.log1p(-probabilities)


def check_finite_loss(task: Task) -> None:
    """A model with the task's sizes and loss has a finite loss, gradient and score on its batches."""
    from zoo.kernels import pure_python
    from zoo.training.evaluation import evaluate_task
    from zoo.training.task_dataset import model_for

    with pure_python():
        model = model_for(task, "vanilla", hidden_size=3, threads=1)
        batch = task.batch(0, 2)
        loss, _ = model.loss_and_grad(batch.inputs, batch.targets, weights=batch.weights)
        result = evaluate_task(task, model, "valid", 1, 2)
    finite = np.isfinite([loss, result.loss, result.score]).all() and np.isfinite(model.grad).all()
    require(task, finite, "a loss, gradient or score that is not finite", "finite numbers")


def _is_same_batch(first: Batch, second: Batch) -> bool:
    pairs = [*zip(first[:3], second[:3], strict=True)]
    pairs += [(first.aux[name], second.aux[name]) for name in first.aux.keys() & second.aux.keys()]
    return (first.continues, first.aux.keys()) == (second.continues, second.aux.keys()) and all(
        one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
        for one, other in pairs
    )


TASK_CHECKS = [
    *(check_shapes, check_card, check_seed_decides, check_batches_differ, check_parts_disjoint),
    *(check_perfect_is_best, check_threshold_beyond_baseline, check_baseline, check_finite_loss),
]
