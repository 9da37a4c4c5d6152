"""The local stack: everything the app needs on one machine, met over the wire only."""
