"""Token features of frozen encoders, made once and kept on disk."""
