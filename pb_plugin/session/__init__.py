"""One pytest session, and how its items are shared among workers."""
