"""Export of models to ONNX, C, JavaScript and web pages.

>>> zoo.export.to_onnx(model, "model.onnx")
>>> zoo.export.to_c(model, "model.c")
>>> zoo.export.to_js(model, "model.js")
>>> zoo.export.to_html(model, "model.html")
"""

from zoo.export.api import CFiles, HtmlFile, JsFile, OnnxFile, to_c, to_html, to_js, to_onnx
from zoo.export.int8_weights import int8_weights

__all__ = ["CFiles", "HtmlFile", "JsFile", "OnnxFile", "int8_weights", "to_c", "to_html", "to_js", "to_onnx"]
