"""The recipe of the bundled demo model: its world, its clips, its training."""
