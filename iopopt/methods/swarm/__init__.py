"""The parts of :mod:`iopopt.methods.pso`: the plans that positions stand for, their price, and the local search."""
