"""Denoisers: one algorithm a file. ``pipelines.registry.BUILT_INS`` is the table of their names."""
