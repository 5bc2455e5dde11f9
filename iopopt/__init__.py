"""iopopt: exact and heuristic partitioning of one CNN over several small devices."""
