"""Shares: k of n give an object back, fewer give nothing. Format: docs/formats/share-v1.md."""
