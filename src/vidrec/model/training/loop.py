"""The training itself: steps, checkpoints, measurements, and going on where it was."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidrec.domain.errors import Conflict, InvalidInput
from vidrec.model.training import checkpoint
from vidrec.model.training.augment import augment
from vidrec.model.training.configuration import CONFIGURATION_FILE, Configuration
from vidrec.model.training.loss import alignment, uniformity
from vidrec.model.training.measure import TuningSet, measure
from vidrec.model.training.network import Network, RunningAverage, optimizer_of
from vidrec.model.training.schedule import learning_rate
from vidrec.model.training.stream import PictureStream

LOG_FILE, LOCK_FILE, ANNEALED = "progress.jsonl", "lock", "annealed"
SMOOTHING = 0.98


@dataclass(frozen=True, slots=True)
class Limits:
    """When this run ends, and how often it looks up."""

    minutes: float | None = None
    until: int | None = None
    """Step."""
    save_every: float = 5.0
    """Minutes."""
    measure_every: float = 10.0
    """Minutes."""


@dataclass(slots=True)
class Progress:
    """What a run tells after each step."""

    step: int
    pictures: int
    """Seen since the training began."""
    per_second: float
    """Pictures of this run."""
    loss: float
    """Smoothed."""
    measured: dict[str, float] = field(default_factory=dict)
    """Mean average precisions, where they were just measured."""


class Training:
    """One training in one folder."""

    def __init__(self, folder: Path, configuration: Configuration, *, device: str, workers: int) -> None:
        self._folder, self._configuration, self._workers = folder, configuration, workers
        self._device = torch.device(device)
        torch.manual_seed(configuration.seed)
        self._network = Network(configuration.arch).to(memory_format=torch.channels_last).to(self._device)
        self._average = RunningAverage(self._network, configuration.average)
        self._optimizer = optimizer_of(self._network, configuration.learning_rate, configuration.weight_decay)
        self.step = 0
        self._anneal: tuple[int, int] | None = None

    def run(self, limits: Limits, tuning: TuningSet | None, tell: Callable[[Progress], None]) -> Progress:
        """Goes on from the newest checkpoint until a limit is reached, SIGINT or SIGTERM arrives, writes a checkpoint
        and answers the last progress."""
        with locked(self._folder):
            self._begin()
            return self._run(limits, tuning, tell)

    def anneal(
        self, steps: int, limits: Limits, tuning: TuningSet | None, tell: Callable[[Progress], None]
    ) -> Progress:
        """From the newest checkpoint, `steps` more with a rate that falls to zero. It is a branch in a folder of its
        own, so that the steady training can go on afterwards; an unfinished branch is finished first."""
        with locked(self._folder):
            self._begin()
            if not self.step:
                raise InvalidInput(f"{self._folder}: no checkpoint to anneal from; train first", field="anneal")
            steady, self._folder = self.step, self._folder / ANNEALED
            self._anneal = (steady, steps)
            state = checkpoint.load_latest(self._folder)
            if state is not None and state["anneal"] is not None and state["step"] < sum(state["anneal"]):
                self._take(state)
            assert self._anneal is not None
            ends = Limits(limits.minutes, sum(self._anneal), limits.save_every, limits.measure_every)
            return self._run(ends, tuning, tell)

    def start_from(self, other: Path) -> None:
        """Begins with the weights of another training's newest checkpoint. InvalidInput where they do not fit."""
        state = checkpoint.load_latest(other)
        if state is None:
            raise InvalidInput(f"--from: {other} holds no checkpoint", field="from")
        try:
            self._take(state)
        except (RuntimeError, ValueError, KeyError):
            raise InvalidInput(f"--from: {other} holds weights of another network", field="from") from None

    def _begin(self) -> None:
        state = checkpoint.load_latest(self._folder)
        if state is not None:
            self._take(state)
        path = self._folder / CONFIGURATION_FILE
        if not path.exists():
            partial = path.with_suffix(".partial")
            partial.write_text(self._configuration.model_dump_json(indent=1) + "\n")
            os.replace(partial, path)

    def _take(self, state: Any) -> None:
        self._network.load_state_dict(state["network"])
        self._average.network.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step, self._anneal = state["step"], state["anneal"]

    def _run(self, limits: Limits, tuning: TuningSet | None, tell: Callable[[Progress], None]) -> Progress:
        began = saved = measured = time.monotonic()
        first, loss = self.step, 0.0
        with self._stream() as stream, _end_asked_for() as end:
            while not (end or self._is_over(limits, began)):
                found = self._learn(stream)
                self.step += 1
                loss = SMOOTHING * loss + (1 - SMOOTHING) * found
                now = time.monotonic()
                if now - saved > 60 * limits.save_every:
                    self._save()
                    saved = time.monotonic()
                progress = self._progress(first, began, loss)
                if tuning is not None and now - measured > 60 * limits.measure_every:
                    progress.measured = self._measure(tuning)
                    self._note(progress)
                    measured = time.monotonic()
                tell(progress)
        if self.step > first:
            self._save()
        progress = self._progress(first, began, loss)
        if tuning is not None:
            progress.measured = self._measure(tuning)
            self._note(progress)
        return progress

    def _stream(self) -> PictureStream:
        c = self._configuration
        return PictureStream(c.seed, side=c.side, window=c.window, workers=self._workers)

    def _is_over(self, limits: Limits, began: float) -> bool:
        late = limits.minutes is not None and time.monotonic() - began > 60 * limits.minutes
        return late or (limits.until is not None and self.step >= limits.until)

    def _learn(self, stream: PictureStream) -> float:
        c, step = self._configuration, self.step
        begin = stream.move_to(int(step * c.batch / c.reuse))
        rng = np.random.default_rng([c.seed, 3, step])
        programs = begin + rng.choice(c.window, c.batch, replace=False)
        views = rng.integers(0, 2, c.batch)
        others = np.where(rng.random(c.batch) < 0.5, views, 1 - views)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        a, b = (
            augment(torch.from_numpy(stream.take(programs, v)).to(self._device, non_blocking=True), c.crop, generator)
            for v in (views, others)
        )
        from_step, steps = self._anneal or (None, 0)
        rate = learning_rate(step, peak=c.learning_rate, warm_up=c.warm_up, anneal_from=from_step, anneal=steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._network.train()
        first, second = self._network(torch.cat([a, b])).chunk(2)
        loss = alignment(first, second) + (uniformity(first) + uniformity(second)) / 2
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        self._average.follow(self._network, step)
        return float(loss.detach())

    def _progress(self, first: int, began: float, loss: float) -> Progress:
        done, views = self.step - first, 2 * self._configuration.batch
        smoothed = loss / (1 - SMOOTHING**done) if done else float("nan")
        seconds = max(1e-9, time.monotonic() - began)
        return Progress(self.step, self.step * views, done * views / seconds, smoothed)

    def best(self) -> Network:
        """The network to use: the running average, or the network itself once it is annealed."""
        return self._network if self._anneal is not None else self._average.network

    def _measure(self, tuning: TuningSet) -> dict[str, float]:
        found = measure(self.best().eval().encoder, tuning, self._device)
        return {"last_stage": round(found.last_stage, 4), "readout": round(found.readout, 4)}

    def _note(self, progress: Progress) -> None:
        line = {"step": progress.step, "pictures": progress.pictures, "loss": round(progress.loss, 4)}
        with (self._folder / LOG_FILE).open("a") as log:
            log.write(json.dumps({**line, **progress.measured}) + "\n")

    def _save(self) -> None:
        checkpoint.save(
            self._folder,
            self.step,
            {
                "step": self.step,
                "anneal": self._anneal,
                "network": self._network.state_dict(),
                "average": self._average.network.state_dict(),
                "optimizer": self._optimizer.state_dict(),
            },
        )


@contextmanager
def _end_asked_for() -> Iterator[list[int]]:
    """A list that is empty until SIGINT or SIGTERM arrives; a step is finished first, a second signal ends at once."""
    asked: list[int] = []

    def ask(number: int, _: object) -> None:
        asked.append(number)
        for which, old in before.items():
            signal.signal(which, old)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder for one training. Conflict where another process holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Conflict(f"{folder}: another process is training there") from None
        yield
