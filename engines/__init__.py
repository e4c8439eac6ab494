"""The runtime: opens a bundle and answers questions about a clip; no torch, no Qt."""
