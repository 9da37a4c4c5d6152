"""One unit of work on one circuit per module; each touches Azure and returns a fact."""
