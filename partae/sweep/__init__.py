"""Sweeps: many runs and their folder."""
