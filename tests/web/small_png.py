"""Makes pictures of pages small: 256 colours at most, and packed well. Such pictures have few colours, and nobody sees that some are gone."""

import struct
import zlib


def _chunks(data):
    at = 8
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        yield kind, data[at + 8:at + 8 + size]
        at += size + 12


def _pixels(data):
    """(width, rows of RGB bytes) of a PNG with 8 bits a channel, RGB or RGBA, not interlaced."""
    packed = b""
    for kind, body in _chunks(data):
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", body)
            assert depth == 8 and colour in (2, 6) and not interlaced
            step = 3 if colour == 2 else 4
        elif kind == b"IDAT":
            packed += body
    raw, stride, above, rows = zlib.decompress(packed), width * step, bytes(width * step), []
    for y in range(height):
        kind, line = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        for x in range(stride if kind else 0):
            left, up = line[x - step] if x >= step else 0, above[x]
            if kind == 1:
                line[x] = (line[x] + left) & 255
            elif kind == 2:
                line[x] = (line[x] + up) & 255
            elif kind == 3:
                line[x] = (line[x] + (left + up) // 2) & 255
            else:
                corner = above[x - step] if x >= step else 0
                guess = left + up - corner
                line[x] = (line[x] + min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]) & 255
        above = line
        rows.append([bytes(line[x:x + 3]) for x in range(0, stride, step)])
    return width, rows


def _chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def shrink(path):
    """Rewrites the file; returns its new size."""
    with open(path, "rb") as file:
        width, rows = _pixels(file.read())
    count = {}
    for row in rows:
        for pixel in row:
            count[pixel] = count.get(pixel, 0) + 1
    often = sorted(count, key=count.get, reverse=True)
    palette = often[:256]
    place = {pixel: n for n, pixel in enumerate(palette)}
    for pixel in often[256:]:  # the nearest of those
        place[pixel] = min(range(len(palette)), key=lambda n: sum((a - b) ** 2 for a, b in zip(pixel, palette[n])))
    body = b"".join(b"\0" + bytes(place[pixel] for pixel in row) for row in rows)
    data = (b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), 8, 3, 0, 0, 0)) + _chunk(b"PLTE", b"".join(palette))
            + _chunk(b"IDAT", zlib.compress(body, 9)) + _chunk(b"IEND", b""))
    with open(path, "wb") as file:
        file.write(data)
    return len(data)
