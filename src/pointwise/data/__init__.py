"""What is measured: feature tables, the files they come from, images, and distributions that know their truth."""
