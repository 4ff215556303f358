"""Who comes in, and what they may do: accounts, sign-in, sessions, API clients, roles and permissions."""
