"""The name server of a network of our own: containers by their names, and the rest by others."""
