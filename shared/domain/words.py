"""What people and builds write, made fit for mails, pages and rows where they enter."""


def counted(number: int, what: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def clean(text: str) -> str:
    """One line of printable characters: nobody's words can forge a line, a header or a direction of writing.

    Line breaks, control and format characters (escape sequences, bidirectional overrides, zero-width ones) become
    spaces, several spaces one.
    """
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())
