"""Plans: who computes which part of every operator, over which team, in which shares."""
