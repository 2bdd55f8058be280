"""Have the fast path of the mark compiled now, so that the first image need not wait for it."""

from __future__ import annotations

from node.mark.rehearsal import rehearse

if __name__ == "__main__":
    rehearse(finer=True)
