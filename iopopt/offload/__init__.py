"""Partial offloading: paths through the first layers of a network, each computed partly on a device and partly on a server's worker."""
