"""See the package."""

from typing import Any

def placeholder(field_type: type, required: bool = False) -> Any: ...

class FieldReference:
    def __init__(self, default: Any, field_type: type) -> None: ...
