"""Grammar by LanguageTool: the server, its client, and texts checked by it."""
