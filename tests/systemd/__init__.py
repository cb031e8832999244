"""What only a host shows whose process 1 is systemd: `make test-systemd` boots one, in a virtual machine."""
