"""Networks of our own: a bridge, addresses, NAT, published ports and names, without any plug-in."""
