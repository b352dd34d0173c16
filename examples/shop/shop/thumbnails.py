"""Pictures of items, drawn for each request."""

from __future__ import annotations

import struct
import time
import zlib

from flask import Blueprint, Response, current_app

bp = Blueprint("thumbnails", __name__)

SIZE = 32  # pixels


@bp.get("/items/<int:item_id>/thumbnail.png")
def thumbnail(item_id: int) -> Response:
    """Return a picture, which takes ``THUMBNAIL_MS`` of a CPU to draw."""
    pixels = bytearray((x * y * item_id) % 256 for y in range(SIZE) for x in range(SIZE))
    end = time.thread_time() + current_app.config["THUMBNAIL_MS"] / 1000
    while time.thread_time() < end:
        pixels = soften(pixels)
    return Response(png(pixels), mimetype="image/png")


def soften(pixels: bytearray) -> bytearray:
    """Return a picture whose pixels are the mean of themselves and two neighbours."""
    last = len(pixels) - 1
    return bytearray(
        (pixels[max(at - 1, 0)] + pixel + pixels[min(at + 1, last)]) // 3
        for at, pixel in enumerate(pixels)
    )


def png(pixels: bytearray) -> bytes:
    """Return a grey picture as a PNG file (RFC 2083)."""
    rows = (b"\0" + pixels[at : at + SIZE] for at in range(0, len(pixels), SIZE))
    header = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 0, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", zlib.compress(b"".join(rows))),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
