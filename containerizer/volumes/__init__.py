"""Volumes as people ask for them, and what is known of those that containers have."""
