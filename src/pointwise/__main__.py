"""python -m pointwise."""

from pointwise.cli import main

main()
