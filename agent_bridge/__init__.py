"""Between agent and human: control, journal, store, notifications, and the client agents import."""
