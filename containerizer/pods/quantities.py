"""Quantities as Kubernetes writes them: `500m`, `64Mi`, `1.5G`, `1e3`.

See "Quantity" in the Kubernetes API reference: binary suffixes are powers of 1024, decimal ones of 1000.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal

_QUANTITY = re.compile(
    r"\+?(\d{1,18}(?:\.\d{0,9})?|\.\d{1,9})(?:([numkMGTPE]|[KMGTPE]i)|[eE](\+?\d{1,2}))?", re.ASCII
)
_FACTORS: Mapping[str, Decimal] = {
    **{
        suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)
    },
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", 1)},
    **{suffix: Decimal(1000) ** -power for power, suffix in enumerate("mun", 1)},
}


def parse(text: str) -> Decimal:
    """Raises ValueError."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(text)
    number, suffix, exponent = match.groups()
    factor = _FACTORS[suffix] if suffix else Decimal(10) ** int(exponent or 0)
    return Decimal(number) * factor


def whole(text: str) -> int:
    """Bytes, say; rounded up. Raises ValueError."""
    return int(parse(text).to_integral_value(ROUND_CEILING))
