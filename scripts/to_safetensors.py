#!/usr/bin/env python3
"""Turns a PyTorch checkpoint into a safetensors file that "evaluate", "analyze" and "train --weights" of resnet-repro read.

    python scripts/to_safetensors.py resnet20.th resnet20.safetensors

Runs with any Python that has torch. Takes a bare state dict or one nested under "state_dict" or "model", drops the "module." of
DataParallel, and renames a final "linear" layer to "fc", torchvision's name. Everything else keeps its name.
"""

import argparse
import json
import struct
import sys

try:
    import torch
except ModuleNotFoundError:
    torch = None

NESTED_UNDER = ("state_dict", "model", "net")
# What "--set normalize" of resnet-repro takes.
NORMALIZE = ("pixel-mean", "imagenet")
# Bytes that are written at a time.
CHUNK = 1 << 22


def state_dict(checkpoint):
    """The mapping from names to tensors inside whatever was saved."""
    for key in NESTED_UNDER:
        if isinstance(checkpoint, dict) and isinstance(checkpoint.get(key), dict):
            return state_dict(checkpoint[key])
    if not isinstance(checkpoint, dict) or not any(torch.is_tensor(value) for value in checkpoint.values()):
        sys.exit(f"error: no state dict in it (looked at the top and under {', '.join(NESTED_UNDER)})")
    return checkpoint


def renamed(name):
    """torchvision's name for a parameter."""
    while name.startswith("module."):
        name = name[len("module.") :]
    return "fc." + name[len("linear.") :] if name.startswith("linear.") else name


def write_safetensors(tensors, path, metadata):
    """Writes float32 tensors in the safetensors format: the header's length, a JSON header, the bytes.

    https://huggingface.co/docs/safetensors#format
    """
    header, offset = {"__metadata__": metadata} if metadata else {}, 0
    for name, tensor in tensors.items():
        size = tensor.numel() * 4
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, offset + size]}
        offset += size
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for tensor in tensors.values():
            for part in tensor.view(torch.uint8).flatten().split(CHUNK):
                try:
                    file.write(part.numpy().tobytes())
                except RuntimeError:  # a torch without numpy, for which a list of bytes will do, in parts that fit in memory
                    file.write(bytes(part.tolist()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="file that torch.save wrote (.pth, .th, .pt)")
    parser.add_argument("output", help="safetensors file to write")
    parser.add_argument(
        "--normalize", choices=NORMALIZE, help="how pixels were normalised in its training, to be noted in the file: then no command needs to be told"
    )
    arguments = parser.parse_args()
    if torch is None:
        sys.exit("error: this Python has no torch: pip install torch, or run the script with one that has it")
    try:
        # weights_only: a checkpoint is data from elsewhere, and must not run code.
        checkpoint = torch.load(arguments.checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that it cannot read
        sys.exit(f"error: {arguments.checkpoint}: {error}")
    tensors = {
        renamed(name): tensor.detach().to(torch.float32).contiguous()
        for name, tensor in state_dict(checkpoint).items()
        if torch.is_tensor(tensor) and not name.endswith("num_batches_tracked")
    }
    metadata = {"normalize": arguments.normalize} if arguments.normalize else {}
    write_safetensors({name: tensor.reshape(-1) if tensor.dim() == 0 else tensor for name, tensor in tensors.items()}, arguments.output, metadata)
    print(f"{arguments.output}: {len(tensors)} tensors, {sum(tensor.numel() for tensor in tensors.values())} values")


if __name__ == "__main__":
    main()
