"""Models: recurrent layers, a readout and a loss, for text and for other sequences."""

from zoo.model.category_inputs import CategoryInputs
from zoo.model.checkpoint import AnyModel, load, load_model, model_from
from zoo.model.language_model import LanguageModel, generate
from zoo.model.model import Model
from zoo.model.ridge_regression import ReadoutFit, RidgeRegression
from zoo.model.sampling import as_chain
from zoo.model.sequence_model import SequenceModel
from zoo.model.stepper import ModelStepper
from zoo.model.width_groups import width_groups

__all__ = [
    "AnyModel",
    "CategoryInputs",
    "LanguageModel",
    "Model",
    "ModelStepper",
    "ReadoutFit",
    "RidgeRegression",
    "SequenceModel",
    "as_chain",
    "generate",
    "load",
    "load_model",
    "model_from",
    "width_groups",
]
