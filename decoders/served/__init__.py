"""Models behind a server: asked over HTTP, with honest step counts; see `decoders.served.generator`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from decoders.served.address import SCHEMES

SERVED_LOADERS: Mapping[str, str] = MappingProxyType(dict.fromkeys(SCHEMES, "decoders.served.loading:load"))
"""Scheme of ``--model SCHEME:URL`` to ``module:function``, as in `decoders.models.GENERATOR_LOADERS`."""
