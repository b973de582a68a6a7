"""Pointwise mutual information learned from pairs: KmePmi and its constant."""
