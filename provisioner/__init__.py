"""provisioner: pulls images, verifies and unpacks them, and describes root filesystems as data."""
