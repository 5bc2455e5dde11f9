"""Equations (1) to (8) as a mixed-integer linear program, and the back ends that solve it."""
