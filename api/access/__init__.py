"""Who may do what over HTTP, and what was done: tokens, roles, control lease, limits, and the log of commands."""
