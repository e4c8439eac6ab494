"""Builds a bundle from a checkpoint (`vl2-export`) and trains the demo model."""

from engines.offline import go_offline

# Before any library that could reach for the network is imported.
go_offline()

# Written into every graph and manifest.
PRODUCER = "vl2-export 0.1.0"
