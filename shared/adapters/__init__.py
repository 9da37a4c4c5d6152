"""One technology each, translated into the words of the ports."""
