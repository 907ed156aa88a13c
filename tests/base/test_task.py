"""The contract of tasks: what a class must have, batches as pure functions, parts that share nothing."""

from __future__ import annotations

import copy
import hashlib
import pickle
from types import MappingProxyType

import numpy as np
import pytest

import zoo
from zoo.base.metric import METRICS
from zoo.base.task import example_hashes
from zoo.errors import DefinitionError, UnknownNameError, UsageError
from zoo.kernels import pure_python
from zoo.registry import resolve_task
from zoo.training.evaluation import evaluate_task, run_freely

CARD = zoo.Card(
    title="None", authors="The tests", year=2024, url="https://example.org", variant="the only one"
)


class Bits(zoo.Task):
    """The bit that was heard first, after some more."""

    card = CARD
    threshold = 0.9
    threshold_source = "the tests"
    length = zoo.Option(12, help="bits", low=1)
    input_size = output_size = 2

    def draw_examples(self, rng, size, part):
        bits = rng.integers(0, 2, self.length, size).astype(np.int32)
        targets, weights = np.zeros_like(bits), np.zeros(bits.shape, np.float32)
        targets[-1], weights[-1] = bits[0], 1
        return zoo.Batch(bits, targets, weights)

    def baseline(self):
        return 0.5


def same(one, other):
    return all(
        a.tobytes() == b.tobytes() and a.shape == b.shape for a, b in zip(one[:3], other[:3], strict=True)
    )


# ---- batches ------------------------------------------------------------------------------------------


def test_batch_is_pure_function_of_arguments():
    task, other = Bits(), Bits()
    first = task.batch(3, 5, 7, "valid")
    task.batch(4, 50)
    assert same(first, task.batch(3, 5, 7, "valid"))
    assert same(first, other.batch(np.int64(3), np.int32(5), 7, "valid"))
    for arguments in ((4, 5, 7, "valid"), (3, 5, 8, "valid"), (3, 5, 7, "test"), (3, 5, 7)):
        assert not same(first, task.batch(*arguments))
    assert not same(first, Bits(length=13).batch(3, 5, 7, "valid"))
    assert first.inputs.shape == (12, 5)


def test_seed_gives_golden_batch():
    """Computed once; another digest would be other data under the old name."""
    batch = Bits().batch(0, 8, 1, "test")
    assert hashlib.sha256(batch.inputs.astype("<i4").tobytes()).hexdigest()[:16] == "496acbba56739144"
    rng = zoo.TaskRng("tests", 1)
    result = rng.uniform(3), rng.integers(-2, 3, 4), rng.permutations(5), rng.approximate_normal(2)
    text = " ".join(repr(array.tolist()) for array in result)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "ac231e1399613f08"


def test_parts_share_no_example_and_have_their_shares():
    task, seen = Bits(length=10), {}
    for part in ("train", "valid", "test"):
        columns = [task.batch(index, 64, seed, part).inputs.T for index in range(20) for seed in (0, 1)]
        seen[part] = {column.tobytes() for column in np.concatenate(columns)}
    assert not seen["train"] & seen["valid"]
    assert not seen["train"] & seen["test"]
    assert not seen["valid"] & seen["test"]
    assert len(seen["train"]) + len(seen["valid"]) + len(seen["test"]) > 990  # nearly all of the 1,024
    shares = [len(seen[part]) / 1024 for part in ("train", "valid", "test")]
    np.testing.assert_allclose(shares, [0.75, 0.125, 0.125], atol=0.06)


def test_split_without_examples_raises():
    task = Bits(length=1)  # two examples for three parts
    empty = [part for part in ("train", "valid", "test") if not has_examples(task, part)]
    words = rf"Bits\(length=1\): of [\d,]+ examples 0 are for '{empty[0]}'; there are too few different ones"
    with pytest.raises(UsageError, match=words):
        task.batch(0, 4, 0, empty[0])


def has_examples(task, part):
    places = example_hashes(np.array([[0, 1]]))
    low, high = task.split_ranges[part]
    return ((places >= low) & (places < high)).any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((-1, 4), "task 'bits': index is -1; expected an integer of at least 0"),
        ((0, 0), "size is 0; expected an integer from 1 to"),
        ((0, 4, 1.5), "seed is 1.5"),
        ((0, 4, 2**64), r"seed is 18446744073709551616; expected an integer from 0 to 2\^64 - 1"),
        ((0, True), "size is True"),
        ((0, 4, 0, "dev"), "part is 'dev'; expected one of train, valid, test"),
    ],
)
def test_invalid_arguments_raise(arguments, words):
    with pytest.raises(UsageError, match=words):
        Bits().batch(*arguments)


def test_hashes_see_every_number_and_its_place():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 1, 3))
    plain = example_hashes(x)
    assert ((plain >= 0) & (plain < 1)).all()
    for place in np.ndindex(x.shape):
        changed = x.copy()
        changed[place] += 1e-12
        assert example_hashes(changed) != plain
    assert example_hashes(x[::-1]) != plain
    np.testing.assert_array_equal(example_hashes(np.zeros((3, 2))), example_hashes(-np.zeros((3, 2, 1))))
    many = example_hashes(rng.integers(0, 2, size=(40, 20000)))
    np.testing.assert_allclose(np.histogram(many, 10, (0, 1))[0] / 20000, 0.1, atol=0.01)


def test_draws():
    rng = zoo.TaskRng("tests")
    u = rng.uniform(200, 100)
    assert u.shape == (200, 100)
    assert u.min() >= 0 < u.max() < 1
    assert (u * 2.0**53 == np.floor(u * 2.0**53)).all()
    np.testing.assert_allclose(np.histogram(u, 20, (0, 1))[0] / u.size, 0.05, atol=0.01)
    n = rng.integers(3, 7, 4000)
    assert set(n.tolist()) == {3, 4, 5, 6}
    assert 3 <= rng.integer(3, 7) < 7
    permutations = rng.permutations(6, 500)
    assert (np.sort(permutations, axis=1) == np.arange(6)).all()
    np.testing.assert_allclose(np.bincount(permutations[:, 0]) / 500, 1 / 6, atol=0.06)
    z = rng.approximate_normal(20000)
    assert abs(z.mean()) < 0.03
    assert abs(z.std() - 1) < 0.03
    assert not np.array_equal(zoo.TaskRng("a", 1).uniform(3), zoo.TaskRng("a", "1").uniform(3))


# ---- scores -------------------------------------------------------------------------------------------


def test_metrics():
    targets, weights = np.array([[0, 1], [2, 1]]), np.array([[1.0, 2.0], [0.0, 1.0]])
    outputs = np.zeros((2, 2, 3))
    outputs[0, 0, 0] = outputs[0, 1, 0] = outputs[1, 1, 1] = 1  # right, wrong, right
    assert METRICS["accuracy"].score(outputs, targets, weights) == 0.5
    assert METRICS["sequence_accuracy"].score(outputs, targets, weights) == 0.5
    hit, miss = np.log(np.e + 2) - 1, np.log(np.e + 2)
    expected = (1 * hit + 2 * miss + 1 * hit) / 4
    assert METRICS["nats"].score(outputs, targets, weights) == pytest.approx(expected, rel=1e-12)
    numbers = np.ones((2, 2, 3))
    assert METRICS["squared_error"].score(numbers, outputs, weights) == pytest.approx(2 / 3)
    sides = np.where(outputs > 0, 5.0, -5.0)
    assert METRICS["accuracy"].score(sides, outputs, weights) == 1
    sides[0, 1, 2] = 1
    assert METRICS["accuracy"].score(sides, outputs, weights) == 0.5


def test_valid_time_ends_with_the_first_large_error():
    errors = np.array([[9.0, 0.0], [0.3, 0.3], [0.5, 0.3], [0.0, 0.3], [0.0, np.nan]])[..., None]
    weights = np.array([0.0, 1.0, 1.0, 1.0, 1.0])[:, None] * np.ones(2)
    targets = np.full(errors.shape, 2.0)
    assert METRICS["valid_time"].score(targets + errors, targets, weights) == (1 + 3) / 8


class Forecast(zoo.Task):
    """The next number, from numbers of its own after a context."""

    loss = "squared_error"
    input_size = output_size = 1
    context = zoo.Option(2, help="steps of the context")
    always = zoo.Option(False, help="a context in training too")

    def draw_examples(self, rng, size, part):
        numbers = rng.uniform(5, size, 1)
        free = part != "train" or self.always
        weights = np.ones((4, size))
        return zoo.Batch(numbers[:-1], numbers[1:], weights, context=self.context if free else None)

    def baseline(self):
        return 1 / 12


def test_context_belongs_to_batch():
    assert [Forecast().batch(0, 3, 0, part).context for part in ("train", "valid", "test")] == [None, 2, 2]
    for context in (0, 4):
        with pytest.raises(
            DefinitionError, match=f"found context {context}, expected a number of steps from 1 to 3"
        ):
            Forecast(context=context).batch(0, 2, 0, "valid")
    with pytest.raises(DefinitionError, match="found a context in a training batch, expected None"):
        Forecast(always=True).batch(0, 2)


def test_free_run_reads_own_outputs():
    batch = Forecast().batch(0, 3, 0, "test")
    with pure_python():
        model = zoo.SequenceModel("vanilla", 1, 1, hidden_size=3, loss="squared_error", dtype="float64")
        inputs = run_freely(model, batch)
        outputs, _ = model.outputs(inputs)
        np.testing.assert_array_equal(inputs[:2], batch.inputs[:2])
        np.testing.assert_allclose(inputs[2:], outputs[1:-1], rtol=1e-12)
        result = evaluate_task(Forecast(), model, "test", 1, 3)
        assert result.score == pytest.approx(np.square(outputs - batch.targets).mean())
        model.params["by"][:] = 1e9
        assert run_freely(model, batch).max() == 10 * batch.inputs[:2].max()  # clipped
        both = zoo.SequenceModel("vanilla", 1, 1, hidden_size=3, loss="squared_error", bidirectional=True)
        with pytest.raises(UsageError, match="bidirectional is True, but this task runs a model on its own"):
            run_freely(both, batch)


def test_solved():
    task = Bits()
    assert [task.is_solved(score) for score in (0.89, 0.9, 1.0)] == [False, True, True]

    class Error(Bits):
        """Lower is better."""

        loss = metric = "squared_error"
        threshold = 0.1

    assert [Error().is_solved(score) for score in (0.2, 0.1, 0.0)] == [False, True, True]

    class Open(Bits):
        """Nobody says."""

        threshold = None

    assert not Open().is_solved(1.0)


def test_fingerprint_depends_on_data():
    assert Bits().fingerprint() == Bits().fingerprint() != Bits(length=13).fingerprint()

    class Other(Bits):
        """The same bits, the last one asked for."""

        name = "bits"

        def draw_examples(self, rng, size, part):
            batch = super().draw_examples(rng, size, part)
            batch.targets[-1] = batch.inputs[-1]
            return batch

    assert Other().fingerprint() != Bits().fingerprint()


# ---- classes ------------------------------------------------------------------------------------------

PARTS = {
    "__doc__": "A task.",
    "__module__": __name__,
    "card": CARD,
    "input_size": 2,
    "output_size": 2,
    "draw_examples": Bits.draw_examples,
    "baseline": Bits.baseline,
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"draw_examples": None}, "draw_examples or make_batch is missing"),
        ({"baseline": None}, "baseline is missing"),
        ({"input_size": None}, "input_size is missing"),
        ({"output_size": None}, "output_size is missing"),
        ({"card": "None"}, r"card is 'None'; give zoo.Card"),
        ({"loss": "hinge"}, "loss is 'hinge'; expected one of cross_entropy, squared_error, binary"),
        ({"loss": "huber:0.5"}, r"or one with options, as zoo.get_loss\('huber', delta=0.1\)"),
        (
            {"metric": "f1"},
            "metric is 'f1'; expected one of accuracy, sequence_accuracy, squared_error, nats",
        ),
        (
            {"split_ranges": MappingProxyType({"train": (0, 1)})},
            "split_ranges has train; expected a range for each",
        ),
        ({"score": zoo.Option(1)}, "'score' is the name of an attribute or function of a task"),
    ],
)
def test_malformed_class_raises(change, words):
    parts = {name: value for name, value in {**PARTS, **change}.items() if value is not None}
    with pytest.raises(DefinitionError, match=f"task class .*{words}"):
        type("Wrong", (zoo.Task,), parts)


def test_names_classes_and_instances_stand_for_tasks():
    assert resolve_task(Bits, length=3) == Bits(length=3) == resolve_task(Bits(length=3))
    assert resolve_task("copying", delay=3).options["delay"] == 3
    with pytest.raises(UnknownNameError, match=r"unknown task 'coping'\. Did you mean 'copying'\?"):
        resolve_task("coping")
    with pytest.raises(UsageError, match="has its options already"):
        resolve_task(Bits(), length=3)
    with pytest.raises(UsageError, match="option 'length' is 0; expected an integer at least 1"):
        Bits(length=0)
    with pytest.raises(DefinitionError, match=r"is not a task; derive it from zoo\.Task"):
        resolve_task(int)


def test_class_is_registered_for_this_process():
    @zoo.register_task
    class Passing(Bits):
        """Registered by a test."""

    assert "passing" in zoo.list_tasks("pass*")
    assert zoo.get_task("passing") == Passing()


@pytest.mark.parametrize("name", ["normal", "standard_normal", "random", "choice", "permutation"])
def test_method_of_numpy_generators_is_an_error_with_the_methods(name):
    methods = "uniform, integers, integer, approximate_normal, permutations"
    with pytest.raises(AttributeError, match=f"^zoo.TaskRng has no '{name}'; its methods are {methods}."):
        getattr(zoo.TaskRng("tests"), name)


def test_random_numbers_of_tasks_can_be_copied_and_pickled():
    rng = zoo.TaskRng("tests")
    for copied in (copy.deepcopy(rng), pickle.loads(pickle.dumps(rng))):
        np.testing.assert_array_equal(copied.uniform(3), zoo.TaskRng("tests").uniform(3))
