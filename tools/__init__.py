"""Tools of the repository itself; no part of the app and of no stack."""
