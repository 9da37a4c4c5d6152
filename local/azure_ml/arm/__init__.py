"""What Azure Resource Manager answers: workspaces and the resources in them."""
