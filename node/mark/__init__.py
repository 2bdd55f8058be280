"""The mark: reversible tiles, logo, quality. Imports no other island."""
