"""The origin study as a script of its own: a function trainable, a DataLoader loop, ASHA, `tune.report` each epoch.

It knows nothing of tune_mlp. MNIST is read from $TUNE_MLP_DATA/MNIST/raw. `--configs FILE.json` gives a list of
configurations to try first, in place of random ones. The last line on stdout is JSON: wall seconds, epochs,
trial-seconds. Settings are Ray's own, but for `address="local"` (never join a cluster that happens to run) and a
storage path that is removed again.

    python benchmarks/peers/stock_ray_tune.py --configs configs.json
    python benchmarks/peers/stock_ray_tune.py --quick
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.basic_variant import BasicVariantGenerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

SPACE = {
    "lr": tune.loguniform(1e-4, 1e-1),
    "batch_size": tune.choice([1, 16, 32]),
    "depth": tune.choice([0, 1, 5]),
    "width": tune.choice([64, 128, 256]),
    "loss": tune.choice(["cross_entropy", "multi_margin", "nll"]),
}
CRITERIA = {"cross_entropy": nn.CrossEntropyLoss, "multi_margin": nn.MultiMarginLoss, "nll": nn.NLLLoss}


class NeuralNetwork(nn.Module):
    """A net of `depth` hidden layers of `width` units with ReLU; a linear model at depth 0."""

    def __init__(self, depth: int, width: int, loss: str) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 28 * 28
        for _ in range(depth):
            layers += [nn.Linear(inputs, width), nn.ReLU()]
            inputs = width
        layers.append(nn.Linear(inputs, 10))
        if loss == "nll":
            layers.append(nn.LogSoftmax(dim=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.layers(x)
        return outputs


def read_idx(folder: Path, name: str, header: int) -> np.ndarray:
    """Return the bytes of one of MNIST's files, without its header."""
    plain = folder / name
    content = plain.read_bytes() if plain.is_file() else gzip.decompress((folder / f"{name}.gz").read_bytes())
    return np.frombuffer(content, np.uint8, offset=header)


def load_mnist(samples: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 [n, 784] and labels [n]."""
    folder = Path(os.environ["TUNE_MLP_DATA"]) / "MNIST" / "raw"
    images = read_idx(folder, "train-images-idx3-ubyte", 16).reshape(-1, 28 * 28)
    labels = read_idx(folder, "train-labels-idx1-ubyte", 8)
    return images[:samples], labels[:samples]


def train_mnist(config: dict[str, Any], data: tuple[np.ndarray, np.ndarray], epochs: int) -> None:
    """Train one configuration, and report after each epoch."""
    images, labels = data
    x = (torch.tensor(images, dtype=torch.float32) / 255 - 0.5) / 0.5
    y = torch.tensor(labels, dtype=torch.int64)
    train_size = int(len(x) * 0.8)
    train_set, val_set = random_split(
        TensorDataset(x, y), [train_size, len(x) - train_size], generator=torch.Generator().manual_seed(0)
    )
    train_loader = DataLoader(train_set, batch_size=int(config["batch_size"]), shuffle=True)
    val_loader = DataLoader(val_set, batch_size=int(config["batch_size"]))

    model = NeuralNetwork(config["depth"], config["width"], config["loss"])
    criterion = CRITERIA[config["loss"]]()
    optimizer = torch.optim.SGD(model.parameters(), lr=config["lr"])

    for _ in range(epochs):
        model.train()
        for inputs, targets in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(inputs), targets)
            loss.backward()
            optimizer.step()

        model.eval()
        val_loss, correct, total = 0.0, 0, 0
        with torch.no_grad():
            for inputs, targets in val_loader:
                outputs = model(inputs)
                val_loss += criterion(outputs, targets).item()
                correct += (outputs.argmax(dim=1) == targets).sum().item()
                total += len(targets)
        tune.report({"loss": val_loss / len(val_loader), "accuracy": correct / total})


def main() -> None:
    """Search, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", type=Path, help="A JSON list of configurations to try first.")
    parser.add_argument("--trials", type=int, default=25)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="2 trials of 4 epochs on 2,000 pictures.")
    args = parser.parse_args()
    trials, epochs, samples = (2, 4, 2000) if args.quick else (args.trials, args.epochs, None)
    configs = json.loads(args.configs.read_text()) if args.configs else []

    start = time.perf_counter()
    torch.manual_seed(0)
    ray.init(address="local")
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(train_mnist, data=load_mnist(samples), epochs=epochs), resources={"cpu": 1}
            ),
            tune_config=tune.TuneConfig(
                metric="loss",
                mode="min",
                num_samples=trials,
                scheduler=ASHAScheduler(max_t=epochs, grace_period=3, reduction_factor=2),
                search_alg=BasicVariantGenerator(points_to_evaluate=configs[:trials] or None, random_state=0),
            ),
            param_space=SPACE,
            run_config=tune.RunConfig(storage_path=folder),
        )
        results = tuner.fit()
        ray.shutdown()
    figures = {
        "wall_seconds": round(time.perf_counter() - start, 2),
        "trials": len(results),
        "errors": results.num_errors,
        "epochs": sum(result.metrics["training_iteration"] for result in results),
        "trial_seconds": round(sum(result.metrics["time_total_s"] for result in results), 2),
        "best_accuracy": round(max(result.metrics_dataframe["accuracy"].max() for result in results), 4),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
