"""Quantisation: arrays in, arrays out; knows no model, no ONNX and no file."""
