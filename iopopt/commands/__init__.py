"""The console script ``iopopt`` and its commands."""
