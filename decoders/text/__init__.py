"""Between text and token ids: tokenizers, chats, token frequencies."""
