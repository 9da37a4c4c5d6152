"""Screenshots as PNG files with a palette: a third of the bytes, and to the eye the same."""

import base64
import struct
import zlib

import numpy as np
from playwright.sync_api import Page

MOST_COLOURS = 256
PIXELS = """async (picture) => {
  const image = new Image();
  image.src = "data:image/png;base64," + picture;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
  canvas.drawImage(image, 0, 0);
  const reader = new FileReader();
  reader.readAsDataURL(new Blob([canvas.getImageData(0, 0, image.width, image.height).data]));
  await new Promise((done) => { reader.onload = done; });
  return [image.width, image.height, reader.result.split(",")[1]];
}"""


def with_palette(picture: bytes, drawing_board: Page) -> bytes:
    """The picture with its 256 most frequent colours; each other one becomes the nearest of them.

    `drawing_board` is an empty page, whose browser decodes the picture.
    """
    width, height, pixels = drawing_board.evaluate(PIXELS, base64.b64encode(picture).decode())
    colours = np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(-1, 4)[:, :3]
    distinct, which, counts = np.unique(colours, axis=0, return_inverse=True, return_counts=True)
    palette = distinct[np.argsort(-counts, kind="stable")[:MOST_COLOURS]]
    distances = ((distinct[:, None].astype(int) - palette[None].astype(int)) ** 2).sum(axis=2)
    indices = distances.argmin(axis=1).astype(np.uint8)[which.ravel()].reshape(height, width)
    # Each row begins with its filter: none, the best one for a palette.
    rows = np.hstack([np.zeros((height, 1), np.uint8), indices]).tobytes()
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _chunk(b"IHDR", head),
            _chunk(b"PLTE", palette.tobytes()),
            _chunk(b"IDAT", zlib.compress(rows, 9)),
            _chunk(b"IEND"),
        )
    )


def _chunk(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
