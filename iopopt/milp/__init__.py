"""Equations (1) to (8) as a mixed-integer linear programme, and the back ends that solve it."""
