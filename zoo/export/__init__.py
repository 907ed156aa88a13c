"""Export of models to ONNX, C and JavaScript.

>>> zoo.export.to_onnx(model, "model.onnx")
>>> zoo.export.to_c(model, "model.c")
>>> zoo.export.to_js(model, "model.js")
"""

from zoo.export.api import CFiles, JsFile, OnnxFile, to_c, to_js, to_onnx
from zoo.export.int8_weights import int8_weights

__all__ = ["CFiles", "JsFile", "OnnxFile", "int8_weights", "to_c", "to_js", "to_onnx"]
