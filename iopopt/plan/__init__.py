"""Plans: which device computes which part of every operator, over which team, in which shares."""
