"""Studies: claims, the arms that test them, and what trains those."""
