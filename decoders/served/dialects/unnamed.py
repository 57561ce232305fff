"""A server or API that nobody named and that did not say what it is: nothing is known of its steps."""

from __future__ import annotations

from decoders.served.dialects.dialect import Dialect

OPENAI = Dialect(name="openai", sent={"reasoning_effort": str})
ANTHROPIC = Dialect(name="anthropic")
