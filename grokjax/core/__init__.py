"""One run and the run axis, pure: no file, no flag, no registry, no config."""
