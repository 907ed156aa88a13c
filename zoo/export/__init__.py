"""Export of models to ONNX and C.

>>> zoo.export.to_onnx(model, "model.onnx")
>>> zoo.export.to_c(model, "model.c")
"""

from zoo.export.api import CFiles, OnnxFile, to_c, to_onnx
from zoo.export.int8_weights import int8_weights

__all__ = ["CFiles", "OnnxFile", "int8_weights", "to_c", "to_onnx"]
