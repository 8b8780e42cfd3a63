"""Carries the official CIFAR-10 to a machine without a network, in parts: lossless WebP mosaics of 100 × 100 images, a file each.

    python scripts/cifar10_parts.py pack data/cifar10 parts        six .webp files and their labels, some 17 MB each
    python scripts/cifar10_parts.py unpack parts data/cifar10      puts the binary files together and checks their SHA-256

Needs numpy and Pillow. Parts may arrive one after the other: "unpack" says which are missing, and exits with 1 until all are there.
"""

import hashlib
import pathlib
import re
import sys

import numpy
from PIL import Image

# SHA-256 of the files in the official archive (https://www.cs.toronto.edu/~kriz/cifar.html), as the program has them.
SOURCE = pathlib.Path(__file__).parent.parent / "src/dataset/cifar10.rs"
FILES = dict(re.findall(r'\("(data_batch_\d|test_batch)\.bin", "([0-9a-f]{64})"\)', SOURCE.read_text()))
assert len(FILES) == 6, f"{SOURCE}: the hashes of six files are expected"
# A record is a label and 3 planes of 32 × 32 bytes.
RECORD = 3073


def pack(data, parts):
    parts.mkdir(parents=True, exist_ok=True)
    for name, expected in FILES.items():
        bytes_ = (data / f"{name}.bin").read_bytes()
        if hashlib.sha256(bytes_).hexdigest() != expected:
            sys.exit(f"{data / name}.bin: not the official file")
        records = numpy.frombuffer(bytes_, numpy.uint8).reshape(-1, RECORD)
        (parts / f"{name}.labels").write_bytes(records[:, 0].tobytes())
        mosaic = records[:, 1:].reshape(100, 100, 3, 32, 32).transpose(0, 3, 1, 4, 2).reshape(3200, 3200, 3)
        Image.fromarray(mosaic).save(parts / f"{name}.webp", lossless=True, quality=100, method=4)
        print(name, (parts / f"{name}.webp").stat().st_size, "bytes")


def unpack(parts, data):
    data.mkdir(parents=True, exist_ok=True)
    missing = []
    for name, expected in FILES.items():
        if not (parts / f"{name}.webp").exists() or not (parts / f"{name}.labels").exists():
            missing.append(name)
            continue
        mosaic = numpy.asarray(Image.open(parts / f"{name}.webp").convert("RGB"))
        pixels = mosaic.reshape(100, 32, 100, 32, 3).transpose(0, 2, 4, 1, 3).reshape(10000, RECORD - 1)
        labels = numpy.frombuffer((parts / f"{name}.labels").read_bytes(), numpy.uint8)
        records = numpy.concatenate([labels[:, None], pixels], axis=1)
        if hashlib.sha256(records.tobytes()).hexdigest() != expected:
            sys.exit(f"{parts / name}.webp: damaged: its images are not the official ones; carry it again")
        records.tofile(data / f"{name}.bin")
    if missing:
        sys.exit(f"{parts}: still missing: {', '.join(missing)}")
    print(f"{data}: all of CIFAR-10, byte for byte as published")


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("pack", "unpack"):
        sys.exit(__doc__)
    {"pack": pack, "unpack": unpack}[sys.argv[1]](pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
