"""Runs one release through the local stack, as the people and the build around it would."""
