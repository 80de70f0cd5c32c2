"""Pixels to a viewer, input back; told who may look and drive."""
