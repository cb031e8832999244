"""isolators: one file an isolator, its path is its flag (`namespaces/pid` is isolators/namespaces/pid.py)."""
