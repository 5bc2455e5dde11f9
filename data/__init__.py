"""Facts that the toolkit ships: device and link profiles, and the papers' published numbers, each with its source."""
