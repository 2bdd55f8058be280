"""Read-only status pages."""
