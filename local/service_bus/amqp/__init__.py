"""AMQP 1.0 on the wire: values, composites, frames, messages; knows nothing of queues or sockets."""
