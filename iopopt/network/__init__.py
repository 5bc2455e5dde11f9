"""Networks: operators, the graph that they form, and a builder for graphs."""
