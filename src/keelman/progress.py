"""How far a pull is. PURE."""

from __future__ import annotations

from keelman.values import Value


class Progress(Value, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """How far a pull is, as far as the engine tells; what is not known yet is 0."""

    layers_done: int = 0
    layers: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
