"""Sealnode: a DICOM store-and-forward node that seals the patient into the picture."""

__version__ = "0.1.0"
