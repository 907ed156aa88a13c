"""Online gradients against back-propagation through the whole stream, and against central differences."""

from __future__ import annotations

import copy
import itertools
import pickle
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from law_options import law_cell
from representative_cells import REPRESENTATIVE_CELLS

import zoo
from zoo.kernels import pure_python
from zoo.layers.functional import FunctionalStack
from zoo.online import gradients as gradients_module
from zoo.online.gradients import GRADIENTS, OnlineGradient
from zoo.testing.trials import nearest_size

Array = np.ndarray[Any, Any]
BATCH, FEATURES = 2, 3
STACKS: dict[str, dict[str, Any]] = {
    "two layers": {"cell": "gru", "num_layers": 2},
    "two cells": {"cell": ["mgu", "lstm"]},
    "residual": {"cell": "gru", "num_layers": 2, "input_size": 6, "residual": True},
    "block": {"cell": "lstm", "num_layers": 2, "block": "prenorm"},
    "modifier": {"cell": "gru+layer_norm", "num_layers": 2},
    "segments": {"cell": "lstm", "recompute": 2},
    "learned states": {"cell": "lstm", "num_layers": 2, "learned_state": True},
    "spikes": {"cell": "lif", "num_layers": 2},
}


class Stream:
    """A stream that comes in chunks of 1 to 5 steps, and a random linear loss.

    Args:
        tokens: Whether x holds tokens.
        seed: Seed of the lengths of the chunks.
        **options: Arguments of ``zoo.Recurrent``.
    """

    def __init__(self, tokens: bool = False, seed: int = 0, **options: Any) -> None:
        options = {"input_size": FEATURES, "hidden_size": 6, "dtype": "float64", "threads": 1, **options}
        self.rnn, rng = zoo.Recurrent(**options), np.random.default_rng(seed)
        bounds = np.cumsum([0, *rng.integers(1, 6, 3)]).tolist()
        self.chunks = [slice(*pair) for pair in itertools.pairwise(bounds)]
        features, shape = self.rnn.config.input_size, (bounds[-1], BATCH)
        self.x = rng.integers(0, features, shape) if tokens else rng.normal(size=(*shape, features))
        self.dy = rng.normal(size=(*shape, self.rnn.output_size))

    def bptt(self) -> tuple[Array, Array]:
        """Outputs and gradient of the whole stream."""
        y, _ = self.rnn.forward(self.x)
        self.rnn.backward(self.dy, needs_dx=False)
        return y, self.rnn.grad.copy()

    def online(self, gradient: OnlineGradient) -> tuple[Array, Array]:
        """Outputs, and the sum of the gradients of the chunks."""
        outputs, total = [], np.zeros_like(self.rnn.grad)
        for chunk in self.chunks:
            outputs.append(gradient.forward(self.x[chunk]))
            gradient.backward(self.dy[chunk], needs_dx=False)
            total += self.rnn.grad
        return np.concatenate(outputs), total

    def check(self) -> None:
        expected, online = self.bptt(), self.online(zoo.RTRL(self.rnn))
        # A matrix memory computes the steps of a chunk together, so outputs are equal up to rounding.
        np.testing.assert_allclose(online[0], expected[0], rtol=1e-9, atol=1e-12)
        scale = np.abs(expected[1]).max()
        np.testing.assert_allclose(online[1] / scale, expected[1] / scale, rtol=1e-9, atol=1e-12)


def seed_of(name: str) -> int:
    return zlib.crc32(name.encode())


@pytest.mark.parametrize("cell", REPRESENTATIVE_CELLS)
def test_rtrl_of_every_kind_of_cell_is_back_propagation(cell: str) -> None:
    with pure_python():
        sizes = nearest_size(law_cell(cell), FEATURES, 6)
        assert sizes is not None
        Stream(cell=law_cell(cell), input_size=sizes[0], hidden_size=sizes[1], seed=seed_of(cell)).check()


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("tokens", [False, True])
def test_rtrl_of_stacks_is_back_propagation(name: str, tokens: bool) -> None:
    with pure_python():
        Stream(tokens, seed_of(name), **STACKS[name]).check()


@pytest.mark.parametrize("cell", ["lstm", "lif"])
def test_compiled_passes(cell: str) -> None:
    """All rows in one compiled call, whose results are equal to the bit for each number of threads."""
    results = []
    for threads in (1, 2):
        stream = Stream(cell=cell, num_layers=2, threads=threads)
        stream.online(zoo.RTRL(stream.rnn))  # compiles the kernels
        stream.rnn.compile_passes()
        for _ in range(2):
            stream.check()
            results.append(stream.online(zoo.RTRL(stream.rnn))[1])
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


class GivenSigns(zoo.UORO):
    """UORO with signs of the caller instead of random ones."""

    signs: Any

    def _signs(self, shape: tuple[int, ...]) -> Array:
        return np.array(next(self.signs), float).reshape(shape)


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "vanilla", "hidden_size": 3},
        {"cell": "vanilla", "hidden_size": 1, "num_layers": 3},
        {"cell": "lstm", "hidden_size": 1, "learned_state": True},
        {"cell": "lif", "hidden_size": 1},
    ],
)
def test_uoro_is_unbiased(options: dict[str, Any]) -> None:
    """The mean over all signs of two chunks is the exact gradient. A mean of random signs is less sharp."""
    with pure_python():
        stream = Stream(**options)
        stream.x, stream.dy = stream.x[:, :1], stream.dy[:, :1]
        size = sum(np.prod(shape, dtype=int) for shape in stream.rnn.stack.state_shapes.values())
        expected, results = stream.bptt()[1], []
        for first, second in itertools.product(itertools.product((-1, 1), repeat=size), repeat=2):
            gradient = GivenSigns(stream.rnn)
            gradient.signs = iter([first, second, first])
            results.append(stream.online(gradient)[1])
    np.testing.assert_allclose(np.mean(results, axis=0), expected, rtol=1e-9, atol=1e-10)


def test_uoro_draws_the_same_signs_for_a_seed() -> None:
    with pure_python():
        stream = Stream(cell="gru")
        first, second, other = (stream.online(zoo.UORO(stream.rnn, seed=seed))[1] for seed in (3, 3, 4))
        gradient = zoo.UORO(stream.rnn, seed=3)
        once = stream.online(gradient)[1]
        gradient.reset()
        repeated = stream.online(gradient)[1]  # other chunks, other signs
        signs = gradient._signs((1000, 10))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, once)
    assert not np.array_equal(first, other)
    assert not np.array_equal(once, repeated)
    assert set(signs.ravel()) == {-1, 1}
    assert abs(signs.mean()) < 0.06  # six standard deviations of 10 000 signs


@pytest.mark.parametrize("cell", ["gru+zoneout", "ctrnn", "leaky_rnn", "lstm"])
def test_noise_dropout_and_auxiliary_inputs(cell: str) -> None:
    """The gradient of the last chunk is the slope of its loss, for the noise of each chunk."""
    stream = Stream(cell=cell, num_layers=2, dropout=0.3)
    rnn, rng = stream.rnn, np.random.default_rng(0)
    aux = {} if cell != "ctrnn" else {"dt": rng.uniform(0.5, 1, stream.x.shape[:2])}
    last = stream.chunks[-1]

    def arguments(index: int, chunk: slice) -> dict[str, Any]:
        return {"noise": (7, index), **{name: value[chunk] for name, value in aux.items()}}

    def loss(theta: Array) -> float:
        state = None
        for index, chunk in enumerate(stream.chunks):
            y, state, _ = rnn.apply(theta, stream.x[chunk], state, **arguments(index, chunk))
        return float((y * stream.dy[last]).sum())

    with pure_python():
        gradient = zoo.RTRL(rnn)
        for index, chunk in enumerate(stream.chunks):
            gradient.forward(stream.x[chunk], **arguments(index, chunk))
            gradient.backward(stream.dy[chunk] if chunk == last else None)
        direction = rng.normal(size=rnn.theta.shape)
        slope = (loss(rnn.theta + 1e-6 * direction) - loss(rnn.theta - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(rnn.grad @ direction, slope, rtol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_episodes_of_a_batch_end_at_different_steps(seed: int) -> None:
    """The influence of a sequence ends with its episode, as back-propagation does."""
    stream = Stream(cell="gru+episodes", seed=seed)
    rnn, starts = stream.rnn, np.random.default_rng(seed).random(stream.x.shape[:2]) < 0.2
    with pure_python():
        rnn.forward(stream.x, episode_start=starts)
        rnn.backward(stream.dy)
        expected, total, gradient = rnn.grad.copy(), np.zeros_like(rnn.grad), zoo.RTRL(rnn)
        for chunk in stream.chunks:
            gradient.forward(stream.x[chunk], episode_start=starts[chunk])
            gradient.backward(stream.dy[chunk])
            total += rnn.grad
        rnn.forward(stream.x)
        rnn.backward(stream.dy)
    np.testing.assert_allclose(total, expected, rtol=1e-9, atol=1e-12)
    assert not np.allclose(rnn.grad, expected)  # the starts matter


@pytest.mark.parametrize("kind", ["classes", "numbers", "language"])
def test_models(kind: str) -> None:
    """The mean of the gradients of chunks, weighted by their steps, is the gradient of the whole stream."""
    rng, steps = np.random.default_rng(0), 9
    options: dict[str, Any] = {"hidden_size": 5, "num_layers": 2, "dtype": "float64", "threads": 1}
    targets: Array = rng.integers(0, 4, (steps, BATCH))
    if kind == "language":
        model: Any = zoo.LanguageModel("abcd", "gru", **options)
        x: Array = rng.integers(0, 4, (steps, BATCH))
    else:
        options["loss"] = "cross_entropy" if kind == "classes" else "squared_error"
        model = zoo.SequenceModel("lstm", FEATURES, 4, **options)
        x = rng.normal(size=(steps, BATCH, FEATURES))
        if kind == "numbers":
            targets = rng.normal(size=(steps, BATCH, 4))
    with pure_python():
        expected_loss, final = model.loss_and_grad(x, targets)
        expected, loss, total = model.grad.copy(), 0.0, np.zeros_like(model.grad)
        gradient = zoo.RTRL(model)
        for chunk in (slice(0, 2), slice(2, 3), slice(3, 9)):
            share = (chunk.stop - chunk.start) / steps
            loss += share * gradient.loss_and_grad(x[chunk], targets[chunk])
            total += share * model.grad
    assert np.isclose(loss, expected_loss)
    np.testing.assert_allclose(total, expected, rtol=1e-9, atol=1e-12)
    assert gradient.state is not None
    for name, value in final.items():
        np.testing.assert_allclose(gradient.state[name], value)


@pytest.mark.parametrize("name", GRADIENTS)
def test_a_stream_continues_from_a_state_dict(name: str) -> None:
    with pure_python():
        stream = Stream(cell="lif", num_layers=2)
        first, *others = stream.chunks
        gradient, other = (GRADIENTS[name](stream.rnn) for _ in range(2))
        assert gradient.state is None
        other.load_state_dict(gradient.state_dict())
        gradient.forward(stream.x[first])
        gradient.backward(stream.dy[first])
        saved = gradient.state_dict()
        stream.chunks = others
        expected = stream.online(gradient)
        for restored in (other, copy.deepcopy(other), pickle.loads(pickle.dumps(other))):
            restored.load_state_dict(saved)
            restored.model = stream.rnn
            for ours, theirs in zip(stream.online(restored), expected, strict=True):
                np.testing.assert_array_equal(ours, theirs)


def test_batch_first_and_arguments_that_are_overwritten() -> None:
    with pure_python():
        stream = Stream(cell="ctrnn")
        _, expected = stream.online(zoo.RTRL(stream.rnn))
        rnn = zoo.Recurrent("ctrnn", FEATURES, 6, dtype="float64", batch_first=True)
        gradient, total = zoo.RTRL(rnn), np.zeros_like(rnn.grad)
        for chunk in stream.chunks:
            x, dt = stream.x[chunk].swapaxes(0, 1).copy(), np.ones((BATCH, chunk.stop - chunk.start))
            gradient.forward(x, dt=dt)
            x += 1
            dt += 1
            dx = gradient.backward(stream.dy[chunk].swapaxes(0, 1))
            assert dx is not None
            assert dx.shape == x.shape
            total += rnn.grad
    np.testing.assert_allclose(total, expected, rtol=1e-12, atol=1e-14)


def test_parameters_may_change_between_chunks() -> None:
    """A loss that needs the first symbol of a stream falls, although each chunk has one step."""
    rng = np.random.default_rng(0)
    rnn = zoo.Recurrent("vanilla", 2, 4, seed=1, threads=1)
    gradient, losses = zoo.RTRL(rnn), []
    for _ in range(300):
        gradient.reset()
        sign = rng.choice([-1.0, 1.0], (1, 8, 1))
        for t in range(3):
            x = np.concatenate([sign * (t == 0), np.ones_like(sign)], axis=2)
            y = gradient.forward(x.astype(np.float32))
            error = np.zeros_like(y)
            error[..., :1] = (t == 2) * (y[..., :1] - 0.5 * sign)
            gradient.backward(error)
            rnn.theta -= 0.05 * rnn.grad
        losses.append(float((error**2).sum()))
    assert np.mean(losses[-20:]) < 0.05 * np.mean(losses[:20])


def test_invalid_arguments() -> None:
    x = np.ones((2, 1, 2), np.float32)

    def layer(**options: Any) -> zoo.Recurrent:
        return zoo.Recurrent("gru", 2, 3, **options)

    def after_chunk(use: Callable[[zoo.RTRL], Any]) -> Callable[[], Any]:
        def call() -> Any:
            gradient = zoo.RTRL(layer())
            gradient.forward(x)
            gradient.backward()
            return use(gradient)

        return call

    def changed() -> None:
        gradient = zoo.RTRL(layer())
        gradient.forward(x)
        gradient.model.theta += 1
        gradient.backward()

    def twice() -> None:
        gradient = zoo.RTRL(layer())
        gradient.forward(x)
        gradient.forward(x)

    model = zoo.SequenceModel("gru", 2, 2, 3)
    calls: dict[str, Callable[[], Any]] = {
        "zoo.RTRL: found 'str'; expected a zoo.Recurrent or a model": lambda: zoo.RTRL("gru"),  # type: ignore[arg-type]
        "a layer that reads backwards needs the whole sequence": lambda: zoo.RTRL(layer(bidirectional=True)),
        "the influence of an embedding is not computed": lambda: zoo.UORO(
            zoo.SequenceModel("gru", 5, 2, 3, embedding=4)
        ),
        "no derivative of `dropout` between layers": lambda: zoo.UORO(layer(num_layers=2, dropout=0.1)),
        "takes 63.5 GiB, for 1,000 sequences, 256 states and 66,560 parameters, more than 2 GiB": lambda: (
            zoo.RTRL.influence_shapes(zoo.Recurrent("lstm", 1, 128).stack, 1000)
        ),
        r"gradient of the output has the shape \(1, 1, 3\)": lambda: after_chunk(
            lambda gradient: (gradient.forward(x), gradient.backward(np.ones((1, 1, 3))))
        )(),
        "backward needs a forward pass": after_chunk(lambda gradient: gradient.backward()),
        "the last chunk had no backward pass": twice,
        "the parameters have changed": changed,
        "inputs have 2 sequences, and the chunks before had 1; call reset": after_chunk(
            lambda gradient: gradient.forward(np.ones((2, 2, 2)))
        ),
        r"inputs are float64\(2, 1, 3\)": after_chunk(lambda gradient: gradient.forward(np.ones((2, 1, 3)))),
        "unknown argument 'dt'": lambda: zoo.RTRL(layer()).forward(x, dt=x),
        "loss_and_grad is not for a recurrent layer; call forward and backward": lambda: zoo.RTRL(
            layer()
        ).loss_and_grad(x, x),
        "forward is not for a sequence model; call loss_and_grad": lambda: zoo.RTRL(model).forward(x),
        "seed is -1": lambda: zoo.UORO(layer(), seed=-1),
        r"load_state_dict: l0.h has the shape \(\)|got the names|expected": after_chunk(
            lambda gradient: gradient.load_state_dict({**gradient.state_dict(), "l0.h": 1.0})
        ),
        "load_state_dict got the names": lambda: zoo.RTRL(layer()).load_state_dict({"chunks": 1, "h": x}),
        r"influence has the shape \(1, 1, 2\)": after_chunk(
            lambda gradient: gradient.load_state_dict({**gradient.state_dict(), "influence": x[:1]})
        ),
    }
    with pure_python():
        for message, call in calls.items():
            with pytest.raises(zoo.UsageError, match=message):
                call()


def test_failed_load_leaves_the_stream() -> None:
    x = np.random.default_rng(0).normal(size=(3, 1, 2))
    rnn = zoo.Recurrent("gru", 2, 3, dtype="float64")
    with pure_python():
        gradient, other = zoo.RTRL(rnn), zoo.RTRL(rnn)
        for each in (gradient, other):
            each.forward(x)
            each.backward(np.ones((3, 1, 3)))
        for wrong in ({"l0.h": 1.0}, {"l0.h": x}, {"influence": x}, {"chunks": -1}):
            with pytest.raises(zoo.UsageError):
                gradient.load_state_dict({**gradient.state_dict(), **wrong})
        gradients = []
        for each in (gradient, other):
            each.forward(x)
            each.backward(np.ones((3, 1, 3)))
            gradients.append(rnn.grad.copy())
    np.testing.assert_array_equal(*gradients)


def test_interrupted_chunk_raises_until_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 2))
    rnn = zoo.Recurrent("gru", 2, 3, dtype="float64")
    monkeypatch.setattr(gradients_module, "MAX_ROWS", 3)  # a pass for each sequence
    with pure_python():
        gradient = zoo.RTRL(rnn)
        gradient.forward(x)
        gradient.backward(np.ones((2, 3, 3)))
        saved, passes = gradient.state_dict(), []

        vjp_by_row = FunctionalStack.vjp_by_row

        def fail(*arguments: Any) -> Any:
            passes.append(arguments)
            if len(passes) == 2:
                raise MemoryError
            return vjp_by_row(*arguments)

        gradient.forward(x)
        with monkeypatch.context() as patch:
            patch.setattr(FunctionalStack, "vjp_by_row", fail)
            with pytest.raises(MemoryError):
                gradient.backward(np.ones((2, 3, 3)))
        with pytest.raises(zoo.UsageError, match="the influence is incomplete"):
            gradient.forward(x)
        gradient.load_state_dict(saved)
        gradient.forward(x)
        gradient.backward(np.ones((2, 3, 3)))
        assert gradient.chunks == 2
        gradient.reset()
        gradient.forward(x)


def test_chunks_of_a_model_without_a_loss() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 2, 3)), rng.integers(0, 2, (6, 2))
    weights = np.zeros((6, 2))
    weights[4:] = 1
    model = zoo.SequenceModel("gru", 3, 2, 4, dtype="float64")
    with pure_python():
        model.loss_and_grad(x, y, weights)
        expected = model.grad.copy()
        stream = zoo.RTRL(model)
        for start in (0, 2):
            assert stream.loss_and_grad(x[start : start + 2], None) == 0.0
            assert not model.grad.any()
        stream.loss_and_grad(x[4:], y[4:])
    np.testing.assert_allclose(model.grad, expected, rtol=1e-9)
    assert stream.state is not None
    with pytest.raises(ValueError, match="read-only"):
        stream.state["l0.h"][:] = 0


def test_parameters_that_changed_leave_a_stream_that_goes_on() -> None:
    x, rnn = np.ones((2, 1, 2)), zoo.Recurrent("gru", 2, 3)
    with pure_python():
        gradient = zoo.RTRL(rnn)
        gradient.forward(x)
        rnn.theta += 1
        with pytest.raises(zoo.UsageError, match="call backward before you change them, or forward again"):
            gradient.backward()
        gradient.forward(x)
        gradient.backward()
    assert gradient.chunks == 1


def test_passes_are_limited_by_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(2, 4, 2))
    rnn, influences = zoo.Recurrent("lru", 2, 3, dtype="float64"), []
    with pure_python():
        for limit in (2**26, 1):
            monkeypatch.setattr(gradients_module, "MAX_PASS", limit)
            gradient = zoo.RTRL(rnn)
            gradient.forward(x)
            gradient.backward(np.ones((2, 4, 3)))
            assert gradient.carry is not None
            influences.append(gradient.carry["influence"])
    np.testing.assert_allclose(*influences, rtol=1e-12)
