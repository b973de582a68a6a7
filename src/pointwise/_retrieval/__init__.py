"""What a similarity is used for: retrieval, zero-shot classification, and the probe of features."""
