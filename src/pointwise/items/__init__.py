"""What is encoded: images and captions, read from the files they come in, and matched."""
