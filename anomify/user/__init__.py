"""Users: accounts, passwords, second factors, sessions, invitations."""
