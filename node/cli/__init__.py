"""nodectl, one file per verb."""
