"""Simulated annealing over plans whose time the simulation of events says: the space, the moves, the first plans and the search."""
