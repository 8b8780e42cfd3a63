"""Times one published way to make training views from JPEG files in memory: prints views/s, and views/s of CPU time.

    python scripts/bench_loader.py pil DIR 1 2        # variant, folder of folders of JPEG files, processes, passes over the files

scripts/bench-loader runs it in turn with this project's program. All variants do the same: shorter side random in 256..480, random square of 224,
flipped horizontally every other time, colours shifted along ImageNet's principal components, normalised float32 planes. Variants:

    pil            torchvision's transforms on Pillow images, as ImageFolder does it
    torchvision    torchvision's own decoder, and its transforms on tensors
    simplejpeg     simplejpeg (libjpeg-turbo, reduced while decoding), then OpenCV scales the part that is needed: the quickest combination that
                   could be put together from published parts
"""

import multiprocessing
import random
import sys
import time
from pathlib import Path

import numpy as np

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
VALUES = np.array([0.2175, 0.0188, 0.0045], np.float32)
VECTORS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]], np.float32)


def lighting():
    return VECTORS @ (VALUES * np.random.normal(0, 0.1, 3).astype(np.float32))


def pil():
    import io

    import torch
    from PIL import Image
    from torchvision import transforms
    from torchvision.transforms import functional as F

    torch.set_num_threads(1)
    crop, flip, tensor, normalise = transforms.RandomCrop(224), transforms.RandomHorizontalFlip(), transforms.ToTensor(), transforms.Normalize(MEAN, DEVIATION)

    def view(data):
        image = F.resize(Image.open(io.BytesIO(data)).convert("RGB"), random.randint(256, 480))
        return normalise(tensor(flip(crop(image))) + torch.from_numpy(lighting())[:, None, None])

    return lambda data: view(data.tobytes())


def torchvision():
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg
    from torchvision.transforms import v2
    from torchvision.transforms.v2 import functional as F

    torch.set_num_threads(1)
    crop, flip, normalise = v2.RandomCrop(224), v2.RandomHorizontalFlip(), v2.Normalize(MEAN.tolist(), DEVIATION.tolist())

    def view(data):
        image = F.resize(decode_jpeg(torch.from_numpy(data), mode=ImageReadMode.RGB), [random.randint(256, 480)], antialias=True)
        image = F.to_dtype(flip(crop(image)), torch.float32, scale=True)
        return normalise(image + torch.from_numpy(lighting())[:, None, None])

    return view


def simplejpeg():
    import cv2
    import simplejpeg as library

    cv2.setNumThreads(0)

    def view(data):
        shorter = random.randint(256, 480)
        image = library.decode_jpeg(data, "RGB", min_height=shorter, min_width=shorter)
        height, width = image.shape[:2]
        factor = min(height, width) / shorter
        part = int(224 * factor)
        top, left = random.randint(0, height - part), random.randint(0, width - part)
        # INTER_AREA is the interpolation without aliasing where the image becomes smaller.
        method = cv2.INTER_AREA if factor > 1 else cv2.INTER_LINEAR
        image = cv2.resize(image[top : top + part, left : left + part], (224, 224), interpolation=method)
        if random.random() < 0.5:
            image = cv2.flip(image, 1)
        image = image.astype(np.float32)
        image *= 1 / (255 * DEVIATION)
        image += (lighting() - MEAN) / DEVIATION
        return np.ascontiguousarray(image.transpose(2, 0, 1))

    return view


VARIANTS = {"pil": pil, "torchvision": torchvision, "simplejpeg": simplejpeg}


def work(variant, files, passes, barrier, results):
    view = VARIANTS[variant]()
    random.seed(0)
    np.random.seed(0)
    for data in files[:8]:
        view(data)
    barrier.wait()
    started, processor = time.time(), time.process_time()
    for _ in range(passes):
        for data in files:
            view(data)
    results.put((started, time.time(), time.process_time() - processor))


def main():
    variant, folder, processes, passes = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    files = [np.frombuffer(path.read_bytes(), np.uint8) for path in sorted(folder.glob("*/*"))]
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(processes), context.Queue()
    workers = [context.Process(target=work, args=(variant, files[first::processes], passes, barrier, results)) for first in range(processes)]
    for worker in workers:
        worker.start()
    times = [results.get(timeout=600) for _ in workers]
    for worker in workers:
        worker.join()
    images = len(files) * passes
    wall = max(end for _, end, _ in times) - min(start for start, _, _ in times)
    print(images / wall, images / sum(processor for _, _, processor in times))


main()
