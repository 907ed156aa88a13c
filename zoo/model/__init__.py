"""The language model: layers, a readout, a loss, and text."""

from zoo.model.generation import as_chain, generate
from zoo.model.language_model import LanguageModel
from zoo.model.persistence import describe_model, load, model_arrays, model_from

__all__ = [
    "LanguageModel",
    "as_chain",
    "describe_model",
    "generate",
    "load",
    "model_arrays",
    "model_from",
]
