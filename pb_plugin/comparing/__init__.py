"""Two sides measured on the same questions: a baseline file, stored runs, and what differs between them."""
