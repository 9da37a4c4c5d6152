"""Sample models and test data: small, trained for real, put into the workspaces as a training build does it."""
