"""The ready-made graphs, one module each."""
