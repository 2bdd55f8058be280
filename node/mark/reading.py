"""Read the robust mark of a picture that lies as it was marked."""

from __future__ import annotations
import numpy as np
from node.mark.pattern import *
def gather(picture, half, strays=True):
    found = details(picture, half)
    group = layout().over(*found.shape[:2])
    ev = evidence(found, deviations(picture, half, found))
    return np.bincount(group.ravel(), ev.ravel(), GROUPS)*layout().flip
def read(says, width=16):
    pil=says[SYMBOLS:]; score=pil.sum()/np.sqrt((pil**2).sum()+1e-9)
    soft=says[:SYMBOLS]*np.sign(score)
    bits=CODE.decode(soft/(np.abs(soft).mean()+1e-12),width)
    return score,np.packbits(bits,axis=1)
