"""A model as an ONNX graph: the back end of the compiler's graph that writes ONNX's nodes."""
