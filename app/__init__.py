"""The user's side: the command line (`vl2`) and, later, the window. Knows no torch and no ONNX."""

from engines.offline import go_offline

# To a frozen program, which has no `python -m`: be the engine process (app/engine_process.py).
CHILD_ARGUMENT = "--run-engine-process"

# Before any library that could reach for the network is imported.
go_offline()
