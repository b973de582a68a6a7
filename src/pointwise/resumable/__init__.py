"""Keyed parts in a folder: what a run that is stopped leaves behind, and the next run goes on from."""
