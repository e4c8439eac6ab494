"""Data that ships with the program: the demo bundle and its clips."""
