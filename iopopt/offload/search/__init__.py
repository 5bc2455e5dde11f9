"""What the heuristics search with: plans as they change them, local moves, Minimizing Waiting, and positions of particles."""
