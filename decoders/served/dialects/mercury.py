"""Inception's Mercury, a closed diffusion model: ``reasoning_effort`` goes with a request, no step told."""

from __future__ import annotations

from decoders.served.dialects.dialect import Dialect

DIALECT = Dialect(name="mercury", owner="inception", sent={"reasoning_effort": str})
