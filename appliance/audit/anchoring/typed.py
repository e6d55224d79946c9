"""A note that went over paper: typed again, or scanned, into a file by whatever was at hand.

Editors leave spaces and empty lines at the ends, and ends of lines of their own; a signed note
has one form, to the byte. Those ends are put right, and nothing else: a letter that is wrong
stays wrong, and the signature says so. Pure.
"""


def typed_note(data: bytes) -> bytes:
    """Return the bytes that the note has, whatever ends an editor gave its lines.

    Args:
        data: Of a file; not trusted. What is no text is given back as it is.
    """
    try:
        lines = [line.rstrip(" \t\r") for line in data.decode().split("\n")]
    except UnicodeDecodeError:
        return data
    while lines and not lines[-1]:
        lines.pop()
    return "".join(f"{line}\n" for line in lines).encode()
