"""Measures generative models in nats, down to the single sample."""
