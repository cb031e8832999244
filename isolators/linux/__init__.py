"""Isolators for the shields of a Linux process: capabilities, no-new-privileges."""
