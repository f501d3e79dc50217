"""Promotion ASHA, PASHA and the best k, written anew from their papers: a worker that is free asks for its next job."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Reference:
    """One search. `score` gives a trial's score after an epoch, the higher the better; an epoch of a trial takes its own seconds."""

    score: Callable[[int, int], float]
    seconds: Sequence[float]
    levels: list[int]
    """The epochs of the rungs, and at last all epochs."""
    eta: float
    workers: int
    pasha: bool = False
    jobs: list[tuple[int, int, int]] = field(default_factory=list)
    """The jobs in the order in which they began: a trial, and the epochs from and to which it trains."""

    def run(self) -> list[int]:
        """Return the epochs of each trial."""
        epochs = [0] * len(self.seconds)
        rungs: list[dict[int, float]] = [{} for _ in self.levels]
        promoted: list[set[int]] = [set() for _ in self.levels]
        top = 1 if self.pasha else len(self.levels) - 1
        top = min(top, len(self.levels) - 1)
        drawn, now = 0, 0.0
        busy: list[tuple[float, int, int]] = []
        while True:
            while len(busy) < self.workers:
                job = self._promotion(rungs, promoted, top)
                if job is None and drawn < len(self.seconds):
                    job, drawn = (drawn, 0), drawn + 1
                elif job is None and not busy and promoted[-2:-1] != [set()]:
                    return epochs
                elif job is None and not busy:
                    job = self._champion(rungs, promoted)
                elif job is None:
                    break
                trial, level = job
                if level:
                    promoted[level - 1].add(trial)
                self.jobs.append((trial, epochs[trial], self.levels[level]))
                heapq.heappush(busy, (now + (self.levels[level] - epochs[trial]) * self.seconds[trial], trial, level))
            now, trial, level = heapq.heappop(busy)
            epochs[trial] = self.levels[level]
            if level == len(self.levels) - 1:
                continue
            rungs[level][trial] = self.score(trial, epochs[trial])
            if self.pasha and level == top and self._disagree(rungs[level], rungs[level - 1], self.levels[level]):
                top += 1

    def _promotion(self, rungs: list[dict[int, float]], promoted: list[set[int]], top: int) -> tuple[int, int] | None:
        for level in reversed(range(top)):
            best = sorted(rungs[level], key=lambda trial: -rungs[level][trial])[: int(len(rungs[level]) / self.eta)]
            for trial in best:
                if trial not in promoted[level]:
                    return trial, level + 1
        return None

    def _champion(self, rungs: list[dict[int, float]], promoted: list[set[int]]) -> tuple[int, int]:
        """When no draw is left and none was trained to the end, the best of the highest rung goes on."""
        for level in reversed(range(len(self.levels) - 1)):
            if left := [trial for trial in rungs[level] if trial not in promoted[level]]:
                return max(left, key=lambda trial: rungs[level][trial]), level + 1
        raise AssertionError

    def _disagree(self, upper: dict[int, float], lower: dict[int, float], epoch: int) -> bool:
        """Soft ranking of Bohdal et al., sections 4.1 to 4.3."""
        gaps = []
        for one, other in itertools.combinations(upper, 2):
            gap = np.array([self.score(one, e) - self.score(other, e) for e in range(1, epoch + 1)])
            first_above = [i for i in range(len(gap)) if gap[i] > 0]
            first_below = [i for i in range(len(gap)) if gap[i] < 0]
            swapped = any(a < b < c for a in first_above for b in first_below for c in first_above) or any(
                a < b < c for a in first_below for b in first_above for c in first_below
            )
            if swapped:
                gaps.append(abs(gap[-1]))
        noise = float(np.percentile(gaps, 90)) if gaps else 0.0
        before = sorted(upper, key=lambda trial: -lower[trial])
        for place, trial in enumerate(sorted(upper, key=lambda trial: -upper[trial])):
            group = [other for other in before if abs(lower[other] - lower[before[place]]) <= noise]
            if trial not in group:
                return True
        return False
