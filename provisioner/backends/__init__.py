"""Ways to make a root filesystem of layers, each as data."""
