"""Trains a small network by PyTorch on a dataset that was built, or on the archives in place.

    python examples/train/pytorch.py --data-dir /shared/tfds --workers 8 --steps 100
    python examples/train/pytorch.py --manual-dir /datashare/imagenet --workers 8 --steps 100
    python examples/train/pytorch.py --dataset imagenet2012_downsampled/32x32 --steps 100

It needs `torch`, `torchvision` and imagenet_builders, and imports no TensorFlow. It prints the
images of a second: with `--only-read`, of the loader alone.
"""

import argparse
import itertools
import time

import torch
from torchvision.transforms import v2

from imagenet_builders import reading


class Collate:
    """Makes tensors of a batch: uint8 images of (batch, 3, size, size), and labels."""

    def __init__(self, size):
        self.cut = v2.Compose([v2.RandomResizedCrop(size), v2.RandomHorizontalFlip()])

    def __call__(self, examples):
        """Called by `DataLoader`, in its workers."""
        images = [torch.from_numpy(each["image"]).permute(2, 0, 1) for each in examples]
        labels = torch.tensor([each["label"] for each in examples])
        return torch.stack([self.cut(image) for image in images]), labels


def forever(loader):
    """The batches of one epoch after another."""
    while True:
        yield from loader


def network(classes):
    """A network that is too small to be of use."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, stride=2),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 3, stride=2),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(32, classes),
    )


def main():
    """Trains, or only reads."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset", default="imagenet2012")
    parser.add_argument("--data-dir", help="default: $TFDS_DATA_DIR or ~/tensorflow_datasets")
    parser.add_argument("--manual-dir", help="read the archives that are staged here, in place")
    parser.add_argument("--split", default="train")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--size", type=int, help="pixels (default: 224, or those of the images)")
    parser.add_argument("--only-read", action="store_true")
    arguments = parser.parse_args()

    source = reading.data_source(
        arguments.dataset,
        arguments.split,
        data_dir=arguments.data_dir,
        manual_dir=arguments.manual_dir,
    )
    size = arguments.size or min(224, *source[0]["image"].shape[:2])
    loader = torch.utils.data.DataLoader(
        source,
        batch_size=arguments.batch,
        shuffle=True,
        num_workers=arguments.workers,
        collate_fn=Collate(size),
        persistent_workers=arguments.workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = network(arguments.classes).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    count = 0
    for step, (images, labels) in enumerate(itertools.islice(forever(loader), arguments.steps + 1)):
        if not arguments.only_read:
            images, labels = images.to(device).float() / 255, labels.to(device)
            loss = torch.nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if step == 0:  # Until then, workers were started.
            began = time.perf_counter()
        else:
            count += len(images)
    seconds = time.perf_counter() - began
    if not arguments.only_read:
        print(f"loss {loss.item():.3f}")
    print(f"{count / seconds:,.0f} images/s")


if __name__ == "__main__":
    main()
