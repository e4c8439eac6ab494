"""ONNX graphs, built by hand, one file a model part."""
