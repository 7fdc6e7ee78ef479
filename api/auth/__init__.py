"""Finds out who sends a request: logins, tokens, accounts, passwords."""
