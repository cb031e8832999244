"""Networks without root: programs that are the other end of a container's network, in user space."""
