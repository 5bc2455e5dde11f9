"""Clusters: devices, cluster files, boards by name and reference instances."""
