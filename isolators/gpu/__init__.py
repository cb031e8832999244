"""The isolators of graphics processors."""
