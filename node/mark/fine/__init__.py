"""The finer reversible mark, ``tiles-2``: docs/formats/mark-v2.md."""
