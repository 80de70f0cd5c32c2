"""The blocker detector, measured."""
