"""Models of pairs and how they are trained."""
