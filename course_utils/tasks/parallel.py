"""One model, several processes: the script that `torchrun` starts in lesson 17.

On one machine or on many.

    torchrun --standalone --nproc-per-node=2 -m course_utils.tasks.parallel FOLDER

Each process takes its part of a batch of sentences, computes the gradients of lesson 06's language
model with DistributedDataParallel (https://docs.pytorch.org/docs/stable/notes/ddp.html), and writes
what it found to FOLDER.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from .. import text
from ..models.layers import LAYERS
from . import language_model

BATCH, STEPS, RATE = (
    32,
    5,
    1e-2,
)  # sentences in the whole batch; training steps and their learning rate
TIMED_WIDTHS, TIMED_BATCH, TIMED_RUNS = (16, 128), 64, 4


def sentences(n: int) -> list[list[int]]:
    """The first n training sentences of lesson 06, shortest first: as ids from <sos> to <eos>."""
    return sorted(language_model.data().train[:n], key=len)


def fresh_model(H: int = 32) -> language_model.LanguageModel:
    """A small language model with the same weights each time."""
    torch.manual_seed(0)
    return language_model.LanguageModel(len(language_model.data().words), H, LAYERS["GRU"])


def my_part(items: list[Any], rank: int, world: int) -> list[Any]:
    """What process `rank` of `world` works on: neighbours, as many as the others, or one more."""
    size, longer = divmod(len(items), world)
    start = rank * size + min(rank, longer)
    return items[start : start + size + (rank < longer)]


def own_mean(model: nn.Module, part: list[list[int]]) -> Tensor:
    """Mean over the tokens of this part.

    Right in one process; the mean of such means is not the mean over all.
    """
    return language_model.next_token_loss(model, (part,))


def token_mean(model: nn.Module, part: list[list[int]]) -> Tensor:
    """The sum over this part's tokens times world / (tokens of all parts).

    So the mean over processes is the mean over tokens.
    """
    ids = torch.from_numpy(text.pad(part)[0])  # (N, T + 1)
    tokens = (ids[:, 1:] != text.PAD).sum()
    dist.all_reduce(tokens)  # now the number in all parts together
    logits, _ = model(ids[:, :-1])
    total = F.cross_entropy(
        logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=text.PAD, reduction="sum"
    )
    return total * dist.get_world_size() / tokens


def gradients(
    model: nn.Module, loss: Callable[[nn.Module, list[list[int]]], Tensor], part: list[list[int]]
) -> dict[str, Tensor]:
    """Name to gradient of loss(model, part).

    Of a DistributedDataParallel the mean over all processes.
    """
    model.zero_grad()
    loss(model, part).backward()  # type: ignore[no-untyped-call]
    return {
        name.removeprefix("module."): weight.grad.clone()
        for name, weight in model.named_parameters()
        if weight.grad is not None
    }


def train_steps(
    model: nn.Module, loss: Callable[[nn.Module, list[list[int]]], Tensor], part: list[list[int]]
) -> dict[str, Tensor]:
    """Name to weight after STEPS steps of gradient descent on the same part."""
    for _ in range(STEPS):
        gradients(model, loss, part)
        with torch.no_grad():
            for weight in model.parameters():
                if weight.grad is not None:
                    weight.sub_(RATE * weight.grad)
    return {
        name.removeprefix("module."): weight.detach().clone()
        for name, weight in model.named_parameters()
    }


def _quickest(work: Callable[[], object]) -> float:
    """Seconds of the quickest of TIMED_RUNS runs, after one that is not counted.

    Every process starts each run together.
    """
    seconds = []
    for _ in range(TIMED_RUNS + 1):
        dist.barrier()
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def timings(H: int, rank: int, world: int) -> dict[str, float]:
    """Seconds of one step: "alone", "part" and "together".

    alone: the whole batch in one process, the others idle; part: its part; together: with
    averaging.
    """
    batch, plain = sentences(TIMED_BATCH)[::-1], fresh_model(H)  # longest first
    part = batch[rank::world]
    shared = DistributedDataParallel(fresh_model(H))

    def alone() -> None:
        if rank == 0:
            gradients(plain, own_mean, batch)
        dist.barrier()

    works: dict[str, Callable[[], object]] = {
        "alone": alone,
        "part": lambda: gradients(plain, own_mean, part),
        "together": lambda: gradients(shared, own_mean, part),
    }
    return {name: _quickest(work) for name, work in works.items()}


def main(folder: str) -> None:
    """What each process runs.

    torchrun has put its number and the others' address into the environment.
    """
    torch.set_num_threads(1)
    dist.init_process_group("gloo")  # "nccl" where each process has a GPU of its own
    rank, world = dist.get_rank(), dist.get_world_size()
    part = my_part(sentences(BATCH), rank, world)
    model = DistributedDataParallel(fresh_model())
    measured: dict[str, Any] = {
        "rank": rank,
        "sentences": len(part),
        "tokens": sum(len(ids) - 1 for ids in part),
    }
    measured["own mean"] = gradients(model, own_mean, part)
    measured["token mean"] = gradients(model, token_mean, part)
    measured["weights"] = train_steps(model, token_mean, part)
    measured["seconds"] = {H: timings(H, rank, world) for H in TIMED_WIDTHS}
    torch.save(measured, Path(folder) / f"rank{rank}.pt")
    dist.destroy_process_group()


def command(folder: Path, processes: int) -> list[str]:
    """The line that starts `processes` of this script on this machine.

    (torchrun is `python -m torch.distributed.run`.)
    """
    options = ["--standalone", "--local-addr=127.0.0.1", f"--nproc-per-node={processes}"]
    return [
        sys.executable,
        "-m",
        "torch.distributed.run",
        *options,
        "-m",
        "course_utils.tasks.parallel",
        str(folder),
    ]


def launch(folder: Path, processes: int = 2) -> list[dict[str, Any]]:
    """Start the processes, wait, and return what each one wrote, by rank.

    Raises RuntimeError with their last words.
    """
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "COURSE_THREADS": "1"}
    if os.name == "nt":
        variables["USE_LIBUV"] = "0"  # PyTorch for Windows may be built without it
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        command(folder, processes),
        cwd=root,
        env=variables,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        raise RuntimeError(f"the processes failed: {done.stderr.strip()[-1500:]}")
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(processes)]


if __name__ == "__main__":
    main(sys.argv[1])
