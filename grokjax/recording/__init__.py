"""What a training writes."""
