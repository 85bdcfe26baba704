"""Tone curves: one a file."""
