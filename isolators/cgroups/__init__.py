"""Isolators that limit or measure by cgroups: one a controller, each for cgroup v1 and v2."""
