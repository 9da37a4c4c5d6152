"""Stands in for a Teams channel: takes what a Workflows webhook takes and shows the cards."""
