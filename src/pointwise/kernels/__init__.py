"""Similarities of pairs whose value is pointwise mutual information, their gradients and their loss."""
