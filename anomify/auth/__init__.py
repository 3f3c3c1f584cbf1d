"""Authentication and authorisation of requests: sessions, tokens, sign-in, CSRF."""
