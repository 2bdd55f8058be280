"""The audit trail: hash chain, tree, checkpoints. Imports no other island."""
