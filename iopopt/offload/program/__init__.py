"""The program of CP-SAT: durations in ticks, positions of each device's paths, and what servers may do at once."""
