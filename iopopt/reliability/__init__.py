"""Service reliability: the most accurate of several models that still meets a deadline, after its input came over a varying channel."""
