"""Published and recorded messages of DhanHQ v2, as the wire parser would hand them over."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def payload(name: str) -> Any:
    return json.loads((HERE / f"{name}.json").read_text(), parse_float=Decimal)
