"""All the expensive work, done once: what the metrics are pure functions of."""
