"""Models: layers, a readout and a loss; over text, and over sequences of anything."""

from zoo.model.checkpoint import AnyModel, describe_model, load, model_arrays, model_from
from zoo.model.language_model import LanguageModel
from zoo.model.model import Model
from zoo.model.sampling import as_chain, generate
from zoo.model.sequence_model import SequenceModel

__all__ = [
    "AnyModel",
    "LanguageModel",
    "Model",
    "SequenceModel",
    "as_chain",
    "describe_model",
    "generate",
    "load",
    "model_arrays",
    "model_from",
]
