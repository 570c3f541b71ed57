"""Ready settings: small overlays on params.yaml, one a file."""
