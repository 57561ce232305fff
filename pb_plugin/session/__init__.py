"""One pytest session, its controlling process, and how items are shared among workers."""
