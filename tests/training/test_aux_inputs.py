"""Auxiliary inputs, such as the time between steps, through models, tasks and training."""

from __future__ import annotations

import numpy as np
import pytest

import zoo
from zoo.errors import DefinitionError, UsageError
from zoo.kernels import pure_python

T, B, I, H, V = 5, 3, 2, 4, 2  # noqa: E741 - the letters of the documents
TIMED = ["cfc", "ctrnn", "gru_ode", "ltc"]


class Decay(zoo.Task):
    """A leaky mean of inputs at uneven times, s' = s + (1 - exp(-dt)) (x - s). The cell sees dt too."""

    loss = "squared_error"
    input_size = output_size = 1
    has_dt = zoo.Option(True)

    def draw_examples(self, rng, size, part):
        x = rng.uniform(8, size, 1) - 0.5
        dt = rng.uniform(8, size) ** 2
        total, targets = np.zeros((size, 1)), np.empty_like(x)
        for t in range(8):
            total = total + (1 - np.exp(-dt[t]))[:, None] * (x[t] - total)
            targets[t] = total
        return zoo.Batch(x, targets, np.ones((8, size)), aux={"dt": dt} if self.has_dt else {})

    def baseline(self):
        return 0.2


def batch(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(T, B, I)), rng.normal(size=(T, B, V)), rng.uniform(0.2, 2, size=(T, B))


def make_model(cell, **options):
    return zoo.SequenceModel(cell, I, V, H, loss="squared_error", dtype="float64", threads=1, **options)


@pytest.mark.parametrize("cell", TIMED)
@pytest.mark.parametrize("lengths", [None, np.array([5, 2, 3])])
def test_gradients_equal_central_differences(cell, lengths):
    with pure_python():
        model = make_model(["gru", cell])
        x, targets, dt = batch()
        rng = np.random.default_rng(1)
        model.theta += rng.normal(size=model.theta.size) / 5
        loss, _ = model.loss_and_grad(x, targets, lengths=lengths, dt=dt)
        assert loss != model.loss(x, targets, lengths=lengths)[0]
        assert loss == model.loss(x, targets, lengths=lengths, dt=dt)[0]
        slope, move = model.grad.copy(), rng.normal(size=model.theta.size)
        values = []
        for sign in (1, -1):
            model.theta += sign * 1e-6 * move
            values.append(model.loss(x, targets, lengths=lengths, dt=dt)[0])
            model.theta -= sign * 1e-6 * move
        assert (values[0] - values[1]) / 2e-6 == pytest.approx(slope @ move, rel=1e-6)


def test_models_give_what_their_layers_give():
    with pure_python():
        model, (x, targets, dt) = make_model("ctrnn"), batch()
        rnn = zoo.Recurrent("ctrnn", I, H, dtype="float64", threads=1)
        rnn.theta = model.theta[: rnn.theta.size]
        y, last = rnn(x, dt=dt)
        expected = y @ model.params["Why"] + model.params["by"]
        outputs, state = model.outputs(x, dt=dt)
        np.testing.assert_allclose(outputs, expected, rtol=1e-12)
        np.testing.assert_array_equal(state["h"], last["h"])
        np.testing.assert_array_equal(model.predict(x, dt=dt)[0], outputs)
        np.testing.assert_array_equal(model.evaluate_batch(x, targets, dt=dt)[1], outputs)
        text = zoo.LanguageModel("ab", "ctrnn", H, dtype="float64", threads=1)
        tokens = np.zeros((T, B), int)
        assert (text.logits(tokens, dt=dt)[0] != text.logits(tokens)[0]).any()
        with pytest.raises(UsageError, match=r"unknown argument 'dtt'; .*Did you mean 'dt'\?"):
            model.outputs(x, dtt=dt)
        with pytest.raises(UsageError, match=r"input 'dt' has the shape \(5,\); expected \(5, 3\)"):
            model.loss(x, targets, dt=dt[:, 0])


def test_compiled_step_gives_the_same_bits():
    compiled, interpreted = make_model("ctrnn"), make_model("ctrnn")
    compiled.compile_training_step()
    interpreted._compiled_step.shards.interpreted = 10**9
    for seed in range(4):
        x, targets, dt = batch(seed)
        losses = [model.loss_and_grad(x, targets, dt=dt)[0] for model in (compiled, interpreted)]
        assert losses[0] == losses[1]
        np.testing.assert_array_equal(compiled.grad, interpreted.grad)


def test_tasks_pass_them_to_cells_that_declare_them(tmp_path):
    """The cell that sees dt learns what the others cannot; a killed run goes on to the same bits."""
    settings = {
        "hidden": 8,
        "steps": 150,
        "lr": 0.02,
        "eval_batches": 2,
        "save_every": 50,
        "eval_every": 50,
        "seed": 1,
    }
    runs = {
        name: zoo.train(task=Decay(has_dt=has_dt), cell="ctrnn", out=tmp_path / name, **settings)
        for name, has_dt in (("with", True), ("without", False))
    }
    losses = {
        name: [event["loss"] for event in run.history if event["event"] == "eval"][-1]
        for name, run in runs.items()
    }
    assert losses["with"] < 0.2 * losses["without"]
    gru = zoo.train(task=Decay(), cell="gru", out=tmp_path / "gru", **{**settings, "steps": 2})
    assert gru.model.cell.name == "gru"
    short = {**settings, "steps": 50}
    zoo.train(task=Decay(), cell="ctrnn", out=tmp_path / "resumed", **short)
    resumed = zoo.train(task=Decay(), cell="ctrnn", out=tmp_path / "resumed", resume=True, **settings)
    np.testing.assert_array_equal(resumed.model.theta, runs["with"].model.theta)


def test_batches_select_and_hash_them():
    drawn = Decay().batch(0, 6)
    chosen = drawn.rows(np.array([4, 1]))
    np.testing.assert_array_equal(chosen.aux["dt"], drawn.aux["dt"][:, [4, 1]])
    assert Decay().fingerprint() != Decay(has_dt=False).fingerprint()


@pytest.mark.parametrize(
    ("aux", "words"),
    [
        (3, "aux a int, expected a mapping"),
        ({"dt": 1.0}, "auxiliary input 'dt' 1.0, expected an array of numbers"),
        ({"dt": np.ones((7, 6))}, r"auxiliary input 'dt' float64\(7, 6\), expected \(8, 6\)"),
        ({"dt": np.full((8, 6), "a")}, "auxiliary input 'dt' an array"),
    ],
)
def test_invalid_batches(aux, words):
    class Wrong(Decay):
        """A task for tests."""

        split_ranges = dict.fromkeys(("train", "valid", "test"), (0.0, 1.0))

        def draw_examples(self, rng, size, part):
            return super().draw_examples(rng, size, part)._replace(aux=aux)

    with pytest.raises(DefinitionError, match=words):
        Wrong().batch(0, 6)
