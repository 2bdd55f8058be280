"""DICOM: associations, objects, pixels, identity. Imports no other island."""
