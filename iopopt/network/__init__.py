"""Networks: operators, the graph that they form, and the builder that writes one down."""
