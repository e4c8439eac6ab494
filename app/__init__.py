"""The user's side: the command line (`vl2`) and the window. Knows no torch and no ONNX."""

from engines.offline import go_offline

# Before any library that could reach for the network is imported.
go_offline()
