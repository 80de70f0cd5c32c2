"""Who may do what: roles, tokens, one-use links, sign-ins, and the limit on guessing."""
