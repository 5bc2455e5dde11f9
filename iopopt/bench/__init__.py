"""The benchmark: every method on models and clusters, as one table. ``python -m iopopt.bench --help`` says more."""
