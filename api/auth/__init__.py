"""Who sends a request: logins, tokens, accounts, passwords."""
