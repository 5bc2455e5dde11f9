"""The parts of :mod:`iopopt.methods.dp`: a search at fixed shares, and small exact programs for the shares."""
