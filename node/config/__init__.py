"""What the operator and the PACS administrator write: schema, load, check, describe."""
