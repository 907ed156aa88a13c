"""Export of models to ONNX and C.

>>> zoo.export.to_onnx(model, "model.onnx")
>>> zoo.export.to_c(model, "model.c")
"""

from zoo.export.api import CFiles, OnnxFile, to_c, to_onnx

__all__ = ["CFiles", "OnnxFile", "to_c", "to_onnx"]
