"""One isolated browser and its screen: keeper, gate, display, state."""
