"""Similarities of pairs whose value is pointwise mutual information, in nats up to a constant: from equation to use."""
