"""Carries the official CIFAR-10 to a machine without a network, in parts: lossless WebP mosaics of 100 × 100 images, a file each.

    python scripts/cifar10_parts.py pack data/cifar10 parts        six .webp files and their labels, some 17 MB each
    python scripts/cifar10_parts.py unpack parts data/cifar10      puts the binary files together and checks their SHA-256

Needs numpy and Pillow. Parts may arrive one after the other: "unpack" says which are missing, and exits with 1 until all are there.
"""

import hashlib
import pathlib
import sys

import numpy
from PIL import Image

# SHA-256 of the files in the official archive (https://www.cs.toronto.edu/~kriz/cifar.html), as in src/dataset/cifar10.rs.
FILES = {
    "data_batch_1": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}
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
