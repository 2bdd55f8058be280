"""What is told of what happened: one object, one day, one patient, to whom it concerns."""
