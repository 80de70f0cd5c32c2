"""Telling operators that a handoff waits, over whatever service they use, until it was told or given up."""
