"""A stand-in for Azure Service Bus: an AMQP 1.0 broker with the official emulator's Config.json.

Served: queues and their dead-letter queues, with everything azure-servicebus does to them over AMQP.
Refused with `amqp:not-implemented`: sessions, topics, forwarding between queues, transactions.
Not there at all: WebSockets, TLS and the Atom administration API.
"""
