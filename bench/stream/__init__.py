"""The stream's benchmark, `make bench-stream`: Baton and its peers before the same independent instruments."""
