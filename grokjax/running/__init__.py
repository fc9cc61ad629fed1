"""How a command starts, splits and stops."""
