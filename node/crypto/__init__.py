"""The seal: payload format, keys. Imports no other island."""
