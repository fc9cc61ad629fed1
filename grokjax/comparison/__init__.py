"""Comparisons: arms read back from their folders, their table, their report."""
