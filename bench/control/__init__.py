"""Control measured: races, broker, gate, state diff, blocker detection. Run by `make bench-control`."""
