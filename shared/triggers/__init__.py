"""Where the world comes in: parse, call one use case, reply. The only room that knows Azure Functions."""
