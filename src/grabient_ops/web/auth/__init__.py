"""Who may come in: a password with sessions for people, tokens for programs."""
