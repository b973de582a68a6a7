"""The demo: generators of handwritten digits whose failures are known, and what the scores say of them."""
