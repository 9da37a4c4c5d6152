"""Local stack: a Functions host that drives the real Python engine as Azure's host does."""
