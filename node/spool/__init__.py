"""The spool: blobs and rows. Imports no other island."""
