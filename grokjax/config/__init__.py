"""From a config file to objects, in one pass."""
