"""The ONNX back end."""
