"""Longer searches for inputs that break parsers: `make fuzz`."""
