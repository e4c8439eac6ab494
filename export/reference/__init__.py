"""The published model in torch, under upstream's parameter names: what graphs are held against."""
