#!/usr/bin/env python3
"""Makes tests/golden/images/: small drawn JPEG and PNG files of every kind that a folder of images may hold, broken ones too, and
expected.json, what tests/datasets/image_folders.rs compares with.

    python tests/golden/make_images.py        # any Python with Pillow and numpy

Pillow decodes the files; scaling and cropping are computed here in float64 from their definitions, without Pillow. Expected are the pixels of the scaled
image's central square. They differ from 8-bit arithmetic by its rounding alone: at most 1 (TOLERANCE), as each of two passes rounds once.

Of the pixels that Pillow decodes, before any scaling, the SHA-256 is kept: they must be the same, bit for bit. PNG of 16 bits is not compared so.
"""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

FOLDER = Path(__file__).parent / "images"
TOLERANCE = 1
SHORTER, CROP = 12, 8


def drawing(width, height):
    """A gradient in every colour, a disc and a bar: no symmetry, so that every turn shows."""
    y, x = np.mgrid[0:height, 0:width]
    red, green, blue = 255 * x / max(width - 1, 1), 255 * y / max(height - 1, 1), 128 + 100 * np.sin(x / 9 + y / 13)
    image = np.stack([red, green, blue], axis=-1)
    image[(x - width * 0.3) ** 2 + (y - height * 0.35) ** 2 < (min(width, height) * 0.18) ** 2] = (250, 220, 30)
    image[(x > width * 0.6) & (x < width * 0.9) & (y > height * 0.7) & (y < height * 0.8)] = (20, 40, 200)
    return Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))


def jpeg(image, orientation=None, **options):
    if orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    file = io.BytesIO()
    image.save(file, "JPEG", **{"quality": 80, **options})
    return file.getvalue()


def png(image, **options):
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True, **options)
    return file.getvalue()


def weights(source, target):
    """The triangle under which each target pixel takes the mean of source pixels, as wide as the reduction: [target, source]."""
    scale = source / target
    support = max(scale, 1.0)
    middle = (np.arange(target)[:, None] + 0.5) * scale
    matrix = np.maximum(0.0, 1.0 - np.abs(np.arange(source)[None, :] + 0.5 - middle) / support)
    return matrix / matrix.sum(axis=1, keepdims=True)


def view(pixels):
    """Shorter side to SHORTER, then the central square: [CROP, CROP, 3]."""
    height, width = pixels.shape[:2]
    if width <= height:
        new_width, new_height = SHORTER, int(SHORTER * height / width)
    else:
        new_width, new_height = int(SHORTER * width / height), SHORTER
    scaled = np.einsum("ih,hwc->iwc", weights(height, new_height), pixels.astype(np.float64))
    scaled = np.einsum("jw,iwc->ijc", weights(width, new_width), scaled)
    top, left = int(round((new_height - CROP) / 2.0)), int(round((new_width - CROP) / 2.0))
    return np.rint(np.clip(scaled[top : top + CROP, left : left + CROP], 0, 255)).astype(np.uint8)


def decoded(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def main():
    wide, tall = drawing(61, 40), drawing(40, 61)
    good = {"plain.jpg": jpeg(wide), "tall.jpg": jpeg(tall)}
    good["progressive.jpg"] = jpeg(wide, progressive=True)
    good["full-colour.jpg"] = jpeg(wide, subsampling=0)
    good["grey.jpg"] = jpeg(wide.convert("L"))
    good["cmyk.jpg"] = jpeg(wide.convert("CMYK"))
    # Adobe's marker says how the four components were transformed: 2 is YCCK. The pixels are then read as such by every decoder.
    inks = jpeg(wide.convert("CMYK"))
    marker = inks.index(b"Adobe")
    good["ycck.jpg"] = inks[: marker + 11] + b"\x02" + inks[marker + 12 :]
    good["large.jpg"] = jpeg(drawing(200, 130), quality=40)
    good["one-column.jpg"] = jpeg(drawing(1, 40))
    good["one-row.jpg"] = jpeg(drawing(40, 1))
    good["one-pixel.jpg"] = jpeg(drawing(1, 1))
    good["png-in-jpeg.JPEG"] = png(wide.resize((31, 20)))
    small = wide.resize((31, 20))
    good["palette.png"] = png(small.quantize(16))
    good["grey.png"] = png(small.convert("L"))
    transparent = small.convert("RGBA")
    transparent.putalpha(small.convert("L"))
    good["transparent.png"] = png(transparent)
    # What follows the picture, and bytes between segments, do no harm.
    good["trailing.jpg"] = jpeg(wide) + b"a tail that some cameras append"
    # Its EXIF orientation (a quarter turn) is ignored.
    good["turned.jpg"] = jpeg(wide, orientation=6)
    expected = {name: view(decoded(data)) for name, data in good.items()}
    smaller = np.asarray(wide.resize((24, 16)))
    deep = (smaller.astype(np.uint16) * 256 + 99).astype(">u2")
    good["deep.png"] = deep_png(deep)
    good["interlaced.png"] = deep_png(deep, interlaced=True)
    expected["deep.png"] = expected["interlaced.png"] = view(smaller)
    # Colours at half the resolution vertically only, as after a lossless quarter turn; Pillow does not write it.
    halved = "halved-vertically.jpg"
    good[halved] = (FOLDER / halved).read_bytes()
    expected[halved] = view(decoded(good[halved]))

    whole = good["plain.jpg"]
    scan, frame = whole.index(b"\xff\xda"), whole.index(b"\xff\xc0")
    bad = {
        "empty.jpg": (b"", "empty"),
        "text.jpg": (b"<!DOCTYPE html>\n<title>404</title>\n", 'begins with "<!DOCTYP"'),
        "garbage.jpg": (bytes((index * 73 + 19) % 251 for index in range(400)), "not an image"),
        "animation.jpg": (b"GIF89a" + bytes(40), "unsupported: GIF"),
        "truncated.jpg": (whole[: scan + (len(whole) - scan) * 6 // 10], "truncated"),
        "truncated-header.jpg": (whole[: frame + 6], "truncated"),
        "only-start.jpg": (whole[:3], "truncated"),
        "truncated-progressive.jpg": (good["progressive.jpg"][: len(good["progressive.jpg"]) * 7 // 10], "truncated"),
        "truncated.png": (good["png-in-jpeg.JPEG"][:500], "truncated"),
        # All but the mark that ends the picture: Pillow refuses it too.
        "without-end.jpg": (whole[:-2], "truncated"),
        # The data of the picture end early, but the mark that ends it is there: libjpeg would paint the rest grey.
        "cut-out.jpg": (whole[: scan + (len(whole) - scan) // 2] + b"\xff\xd9", "damaged"),
        "damaged.png": (good["grey.png"][:60] + bytes([good["grey.png"][60] ^ 0x55]) + good["grey.png"][61:], "damaged"),
        "absurd.jpg": (whole[: frame + 5] + b"\xff\xdc\xff\xdc" + whole[frame + 9 :], "too large: 65500×65500"),
        "no-pixels.jpg": (whole[: frame + 5] + b"\0\0\0\0" + whole[frame + 9 :], "damaged"),
        "twelve-bit.jpg": (whole[: frame + 4] + b"\x0c" + whole[frame + 5 :], "unsupported: JPEG with 12 bits"),
        "arithmetic.jpg": (whole[: frame + 1] + b"\xc9" + whole[frame + 2 :], "unsupported: JPEG with arithmetic"),
        "lossless.jpg": (whole[: frame + 1] + b"\xc3" + whole[frame + 2 :], "unsupported: JPEG with frame type 0xc3"),
    }
    FOLDER.mkdir(exist_ok=True)
    for name, data in {**good, **{name: data for name, (data, _) in bad.items()}}.items():
        assert len(data) < 3000, (name, len(data))
        (FOLDER / name).write_bytes(data)
    result = {
        "shorter_side": SHORTER,
        "crop": CROP,
        "tolerance": TOLERANCE,
        "views": {name: values.tobytes().hex() for name, values in sorted(expected.items())},
        "decoded": {name: hashlib.sha256(decoded(good[name]).tobytes()).hexdigest() for name in sorted(good) if name not in ("deep.png", "interlaced.png")},
        "refused": {name: part for name, (_, part) in sorted(bad.items())},
    }
    (FOLDER / "expected.json").write_text(json.dumps(result, separators=(",", ":"), ensure_ascii=False).replace(',"', ',\n"') + "\n")
    print(len(good), "files to be decoded,", len(bad), "to be refused,", sum(file.stat().st_size for file in FOLDER.iterdir()), "bytes")


def deep_png(pixels, interlaced=False):
    """An RGB PNG file of 16 bits a sample, which Pillow does not write; interlaced, it is Adam7's seven small pictures."""
    import struct
    import zlib

    height, width = pixels.shape[:2]
    passes = [(0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1)] if interlaced else [(0, 1, 0, 1)]
    rows = b"".join(b"\0" + row.tobytes() for top, down, left, right in passes for row in pixels[top::down, left::right])
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, int(interlaced))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


main()
