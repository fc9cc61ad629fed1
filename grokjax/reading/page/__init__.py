"""One HTML file of a comparison: everything in it, nothing fetched."""
