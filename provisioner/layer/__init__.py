"""One layer from a compressed stream to a directory in overlayfs' form."""
