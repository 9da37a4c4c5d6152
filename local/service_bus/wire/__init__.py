"""The broker's side of a connection: sessions, links, tokens, management requests (Service Bus' AMQP guide)."""
