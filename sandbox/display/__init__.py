"""The display: Xvfb, the screen on it, the operator's input, and the screencast where there is no X server."""
