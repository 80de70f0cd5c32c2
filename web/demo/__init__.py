"""A demo that is real: a site nobody here wrote, and a small agent that gets stuck on it."""
