"""Classical watermarks of the field, behind the seam of the mark; none is reversible."""

NAMES = ("lsb", "dct", "dft", "dwt-svd")
"""What they are called on the command line and in objects."""
