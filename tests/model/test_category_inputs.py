"""An embedding of categories among the inputs: exact gradients, files, and agreement with one-hot inputs."""

from __future__ import annotations

import numpy as np
import pytest
from finite_differences import derivative

import zoo
from zoo import analysis
from zoo.errors import CheckpointError, UsageError
from zoo.model import CategoryInputs
from zoo.storage import Checkpoint, load, save

CATEGORIES = CategoryInputs(9, 2, ((1, 3, 0), (5, 3, 0)))  # two columns with the same vectors
rng = np.random.default_rng(0)
T, B, SIZES = 4, 5, (9, 3, 6)
CODES = rng.integers(-1, 3, (2, T, B))  # -1 is missing
X = rng.normal(size=(T, B, 9))
for first, codes in zip((1, 5), CODES, strict=True):
    X[..., first : first + 3] = codes[..., None] == np.arange(3)
Y = rng.normal(size=(T, B, 3))
BATCHES = ({}, {"lengths": np.array([4, 2, 0, 3, 1])}, {"weights": rng.random((T, B))})


@pytest.fixture(autouse=True)
def _plain_python():
    with zoo.kernels.pure_python():
        yield


def model_of(categories=CATEGORIES, **options):
    settings = {"loss": "squared_error", "dtype": "float64", "seed": 1, "threads": 1, **options}
    return zoo.SequenceModel("vanilla", *SIZES, categories=categories, **settings)


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "recompute": 2, "learned_state": True}])
@pytest.mark.parametrize("batch", BATCHES, ids=["plain", "lengths", "weights"])
def test_gradients_are_exact(options, batch):
    model = model_of(**options)
    assert model.params["embedding"].shape == (3, 2)
    model.loss_and_grad(X, Y, **batch)
    for index, slope in enumerate(model.grad.copy()):
        assert derivative(model, index, lambda: model.loss(X, Y, **batch)[0]) == pytest.approx(
            slope, abs=1e-8
        )


def test_outputs_are_those_of_one_hot_inputs_with_folded_weights():
    model = model_of()
    folded = CATEGORIES.matrix(model.params["embedding"]) @ model.params["l0.Wxh"]
    others = {name: value for name, value in model.params.items() if name not in ("embedding", "l0.Wxh")}
    one_hot = model_of(None, initial={"l0.Wxh": folded, **others})
    np.testing.assert_allclose(model.outputs(X)[0], one_hot.outputs(X)[0], atol=1e-14)
    missing = X.copy()
    missing[..., 1:4] = 0
    assert (CATEGORIES.embed(missing, model.params["embedding"])[..., 1:3] == 0).all()
    points, others = (analysis.fixed_points(each, x=X[0, 0], starts=1) for each in (model, one_hot))
    np.testing.assert_allclose(points.states["l0.h"], others.states["l0.h"], atol=1e-6)


def test_file_restores_the_model_and_damage_is_an_error(tmp_path):
    model = model_of()
    model.save(tmp_path / "m.safetensors")
    loaded = zoo.load(tmp_path / "m.safetensors")
    assert loaded.categories == CATEGORIES
    assert (loaded.input_size, loaded.stack.input_size) == (9, 7)
    np.testing.assert_array_equal(loaded.outputs(X)[0], model.outputs(X)[0])
    checkpoint = load(tmp_path / "m.safetensors")
    for name, value in (("codes", [[1, 9, 0]]), ("codes", "ab"), ("input_size", 8), ("size", 0), ("size", 3)):
        described = {**checkpoint.meta["model"]["categories"], name: value}
        meta = {**checkpoint.meta, "model": {**checkpoint.meta["model"], "categories": described}}
        save(tmp_path / "d.safetensors", Checkpoint(checkpoint.arrays, meta))
        with pytest.raises(CheckpointError):
            zoo.load(tmp_path / "d.safetensors")


def test_invalid_arguments():
    for codes in ((), ((1, 0, 0),), ((8, 2, 0),), ((1, 3, 0), (3, 2, 0))):
        sentence = "the code .* does not fit 9 inputs" if codes else "no input is the code of a category"
        with pytest.raises(UsageError, match=f"^categories: {sentence}"):
            CategoryInputs(9, 2, codes)
    with pytest.raises(UsageError, match=r"^categories: the size of the vectors is 0; give 1 or more"):
        CategoryInputs(9, 0, ((1, 3, 0),))
    with pytest.raises(UsageError, match="categories are of 9 inputs, and input_size is 4; give the same"):
        zoo.SequenceModel("vanilla", 4, 2, categories=CATEGORIES)
    with pytest.raises(UsageError, match=r"categories is 3; expected zoo\.model\.CategoryInputs"):
        zoo.SequenceModel("vanilla", 4, 2, categories=3)
    with pytest.raises(UsageError, match="inputs are tokens; a model with categories reads numbers"):
        model_of().outputs(np.zeros((T, B), int))
