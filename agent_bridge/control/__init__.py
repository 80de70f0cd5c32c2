"""The control state machine (`machine`, without I/O) and the broker that runs it."""
