"""Speed of the toolkit itself. Each module is a command; absolute figures depend on the machine, so compare ratios within one run."""
