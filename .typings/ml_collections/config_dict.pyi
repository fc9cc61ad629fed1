"""See the package."""

from typing import Any

def placeholder(field_type: type, required: bool = False) -> Any: ...
