"""Layers as files: ``rnn.save`` and ``zoo.load``."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import zoo
from zoo.errors import CheckpointError, UsageError
from zoo.model import load_model
from zoo.storage import load as load_file
from zoo.storage import save

I, H = 3, 8  # noqa: E741 - the letters of the documents


class Unregistered(zoo.Cell):
    """A cell that nobody registered: h' = scale tanh(x W + h A)."""

    scale = zoo.Option(0.5)
    W = zoo.Param("I", "H", init="glorot_uniform")
    A = zoo.Buffer("H", "H", init="orthogonal")
    h = zoo.State("H")

    def step(self, x, h):
        return self.scale * np.tanh(x @ self.W + h @ self.A)


LAYERS = {
    "plain": lambda: zoo.Recurrent("gru", I, H, seed=3),
    "options": lambda: zoo.Recurrent(
        [zoo.get_cell("lstm", forget_bias=1.0), "gru"], I, H, dtype="float64", bidirectional=True,
        dropout=0.25, residual=True, learned_state=True, batch_first=True, threads=1,
    ),
    "modified": lambda: zoo.Recurrent(zoo.modify("lstm", "zoneout", p=0.1), I, H, num_layers=2),
    "buffers": lambda: zoo.Recurrent(Unregistered(scale=0.25), I, H),
}  # fmt: skip


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("make", LAYERS.values(), ids=[*LAYERS])
def test_layers_round_trip(make, tmp_path):
    rnn, path = make(), tmp_path / "layer.safetensors"
    rnn.theta += np.random.default_rng(0).normal(size=rnn.theta.size).astype(rnn.dtype)
    rnn.save(path)
    loaded = zoo.load(path, cell=Unregistered if isinstance(rnn.cell, Unregistered) else None, threads=2)
    assert isinstance(loaded, zoo.Recurrent)
    assert repr(loaded) == repr(rnn)
    assert loaded.cells == rnn.cells
    assert loaded.config == rnn.config
    assert loaded.threads == 2
    for name in ("theta", "_buffer_vector"):
        assert getattr(loaded, name).tobytes() == getattr(rnn, name).tobytes()
    x = np.random.default_rng(1).normal(size=(5, 4, I))
    y, _ = rnn(x)
    np.testing.assert_array_equal(loaded(x)[0], y)
    loaded.backward(np.ones_like(y))


def test_layer_in_place_of_a_model(tmp_path):
    LAYERS["plain"]().save(tmp_path / "layer")
    with pytest.raises(
        CheckpointError, match="holds 'recurrent layer'; expected a language model or a seq"
    ) as caught:
        load_model(tmp_path / "layer")
    assert str(caught.value).endswith(f"Load a layer in Python, zoo.load({str(tmp_path / 'layer')!r}).")
    LAYERS["buffers"]().save(tmp_path / "layer")
    with pytest.raises(CheckpointError, match="'unregistered', which is not registered here"):
        zoo.load(tmp_path / "layer")
    with pytest.raises(UsageError, match="path is 3"):
        LAYERS["plain"]().save(3)


@pytest.mark.parametrize(
    "changed",
    [
        {"input_size": None},
        {"input_size": 4},
        {"input_size": 2**70},
        {"hidden_size": -1},
        {"num_layers": 2**60},
        {"batch_first": "yes"},
        {"dtype": "object"},
        {"cell": 3},
    ],
)
def test_damaged_metadata(changed, tmp_path):
    path = tmp_path / "layer"
    LAYERS["plain"]().save(path)
    checkpoint = load_file(path)
    meta = {**checkpoint.meta, "model": {**checkpoint.meta["model"], **changed}}
    save(path, dataclasses.replace(checkpoint, meta=meta))
    with pytest.raises(CheckpointError, match=str(path)):
        zoo.load(path)
