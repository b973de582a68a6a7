"""What is measured: feature tables and the files they come from."""
