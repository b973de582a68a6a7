"""The real side of all comparisons, prepared once, and what is made of it and of a generated side."""
