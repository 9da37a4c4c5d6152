"""The release pipeline: the app that Azure Functions runs."""
