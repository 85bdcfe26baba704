"""Search strategies: gradient ascent and Optuna's samplers, found by name in :mod:`tuner.search.table`."""
