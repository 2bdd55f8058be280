"""Stage 4 for workstations: what is asked for through the node is verified on its way."""
