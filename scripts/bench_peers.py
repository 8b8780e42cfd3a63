"""Times PyTorch's training step for one network, as a competent user writes it: prints images/s, the median over iterations.

    python scripts/bench_peers.py resnet-20 compiled-bf16 20 [--batch 128] [--device cpu]

scripts/bench-peers runs it in turn with this project's program. Variants:

    eager              NCHW, float32
    channels-last      channels_last, float32
    bf16               channels_last, torch.autocast to bfloat16
    compiled           channels_last, float32, torch.compile
    compiled-bf16      channels_last, bfloat16, torch.compile
    reduce-overhead    channels_last, float32, torch.compile(mode="reduce-overhead"), which uses CUDA graphs (CUDA only)
    reduce-overhead-bf16
    loader-2, loader-4 the common public trainer's way: NCHW, float32, torchvision's transforms in a DataLoader with 2 or 4 workers

All but loader-N take their batches with one gather from a tensor of all images, the quickest way there is in plain PyTorch.
"""

import argparse
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

WARM_UP = 4


class Block(nn.Module):
    def __init__(self, inputs, filters, stride, residual):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.stride, self.residual, self.added = stride, residual, filters - inputs

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        if self.residual:
            y = y + (x if self.stride == 1 else F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added // 2, self.added // 2)))
        return F.relu(y, inplace=True)


class Net(nn.Module):
    def __init__(self, depth, residual):
        super().__init__()
        layers, inputs = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)], 16
        for filters, stride in ((16, 1), (32, 2), (64, 2)):
            for block in range((depth - 2) // 6):
                layers.append(Block(inputs, filters, stride if block == 0 else 1, residual))
                inputs = filters
        self.body, self.fc = nn.Sequential(*layers), nn.Linear(64, 10)

    def forward(self, x):
        return self.fc(self.body(x).mean(dim=(2, 3)))


class GatheredBatches:
    """Batches of random images, cropped and flipped by one index operation on the device."""

    def __init__(self, batch, device):
        self.batch, self.device = batch, device
        images = torch.randint(0, 256, (10_000, 3, 32, 32), dtype=torch.uint8)
        self.labels = torch.randint(0, 10, (10_000,), device=device)
        self.mean = F.pad(images.float().mean(dim=0) / 255, (4, 4, 4, 4)).to(device)
        self.padded = F.pad(images, (4, 4, 4, 4)).to(device)
        self.steps, self.channels = torch.arange(32, device=device), torch.arange(3, device=device)[None, :, None, None]

    def __next__(self):
        chosen = torch.randint(0, len(self.labels), (self.batch,), device=self.device)
        rows = torch.randint(0, 9, (self.batch, 1), device=self.device) + self.steps
        columns = torch.randint(0, 9, (self.batch, 1), device=self.device) + self.steps
        columns = torch.where(torch.rand(self.batch, 1, device=self.device) < 0.5, columns.flip(1), columns)
        rows, columns = rows[:, None, :, None], columns[:, None, None, :]
        pixels = self.padded[chosen[:, None, None, None], self.channels, rows, columns].float()
        return pixels / 255 - self.mean[self.channels, rows, columns], self.labels[chosen]


def loader_batches(batch, workers):
    """The way of the common public trainers: PIL images, torchvision's transforms, worker processes."""
    from torchvision import transforms
    from torchvision.datasets import FakeData

    normalize = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    steps = [transforms.RandomHorizontalFlip(), transforms.RandomCrop(32, 4), transforms.ToTensor(), normalize]

    class Images(torch.utils.data.Dataset):
        """Decoded images in memory, as torchvision's CIFAR10 keeps them."""

        def __init__(self):
            made = FakeData(2000, (3, 32, 32), 10)
            self.items = [made[position] for position in range(len(made))]
            self.transform = transforms.Compose(steps)

        def __len__(self):
            return 50_000

        def __getitem__(self, position):
            image, label = self.items[position % len(self.items)]
            return self.transform(image), int(label)

    return iter(torch.utils.data.DataLoader(Images(), batch, shuffle=True, num_workers=workers, pin_memory=torch.cuda.is_available()))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network")
    parser.add_argument("variant")
    parser.add_argument("iterations", type=int)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    family, depth = options.network.split("-")
    variant, device = options.variant, torch.device(options.device)
    half = variant.endswith("bf16")
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    net = Net(int(depth), family == "resnet").train().to(device)
    if variant != "eager" and not variant.startswith("loader"):
        net = net.to(memory_format=torch.channels_last)
    forward = net
    if variant.startswith("compiled"):
        forward = torch.compile(net)
    if variant.startswith("reduce-overhead"):
        forward = torch.compile(net, mode="reduce-overhead")
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=1e-4, foreach=True)
    workers = int(variant.split("-")[1]) if variant.startswith("loader") else 0
    batches = loader_batches(options.batch, workers) if workers else GatheredBatches(options.batch, device)
    losses, errors, times = [], [], []
    # On a GPU the clock is read, and the device waited for, once a block of iterations, as in this project's bench.
    block = 20 if device.type == "cuda" else 1
    start = time.perf_counter()
    for iteration in range(1, WARM_UP * block + options.iterations + 1):
        images, labels = next(batches)
        images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        if variant != "eager" and not workers:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            logits = forward(images)
            loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach().clone())
        errors.append((logits.detach().argmax(1) != labels).sum())
        if iteration % block == 0:
            if device.type == "cuda":
                torch.cuda.synchronize()
            times.append((time.perf_counter() - start) / block)
            start = time.perf_counter()
    print(f"{options.batch / statistics.median(times[WARM_UP:]):.1f}")


main()
