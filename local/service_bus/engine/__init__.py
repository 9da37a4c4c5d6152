"""Queues: what Service Bus does with a message, on an injected clock and a SQLite file; knows no protocol."""
