"""Models: recurrent layers, a readout and a loss, for text and for other sequences."""

from zoo.model.checkpoint import AnyModel, load, model_arrays, model_from, model_metadata
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
    "generate",
    "load",
    "model_arrays",
    "model_from",
    "model_metadata",
]
