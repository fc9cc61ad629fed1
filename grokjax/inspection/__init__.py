"""Inspection: what checkpoints hold and what is left of their networks."""
