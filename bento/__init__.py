"""The encoder as a BentoML service."""
