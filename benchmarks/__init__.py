"""Speed of the toolkit itself. Each module is a command; absolute figures depend on the machine, so quote ratios of one run."""
