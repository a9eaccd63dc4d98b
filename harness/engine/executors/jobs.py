"""Tasks that are handed out, and what is done with those that do not come back.

A task that takes too long, or that ends its process, is tried once more with each estimator by itself: only the culprit
is recorded as ``timeout`` or ``lost``. All executors share that, so a fault costs the same wherever it happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from haloassay.engine.task import Task, missing
from haloassay.results.outcome import Outcome, TaskResult


@dataclass
class Job:
    """A task to be handed out.

    Parameters
    ----------
    task
        What is to be done.
    whole
        Collects the outcomes of a task that was split.
    losses
        How often the machine that had it went away.
    """

    task: Task
    whole: Whole | None = None
    losses: int = 0


@dataclass
class Whole:
    """A task that is tried again estimator by estimator, until all outcomes are there."""

    task: Task
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def add(self, result: TaskResult) -> TaskResult | None:
        """Take an outcome; once all are there, give the result."""
        for outcome in result.outcomes:
            self.outcomes[outcome.method.label] = outcome
        labels = [method.label for method in self.task.methods]
        if len(self.outcomes) < len(labels):
            return None
        ordered = tuple(self.outcomes[label] for label in labels)
        return TaskResult(self.task.cell, self.task.realization, ordered)


class Jobs:
    """Jobs that nobody has: those to be tried again, then new ones.

    Parameters
    ----------
    tasks
        Any number; one is taken when a job is asked for.
    """

    def __init__(self, tasks: Iterator[Task]) -> None:
        self.tasks = tasks
        self.waiting: list[Job] = []

    def next(self) -> Job | None:
        """Job to be handed out now; None where there is none."""
        if self.waiting:
            return self.waiting.pop()
        task = next(self.tasks, None)
        return None if task is None else Job(task)

    def put_back(self, job: Job) -> None:
        """Take back a job that nobody has begun, or that is no job's fault."""
        self.waiting.append(job)

    def done(self, job: Job, result: TaskResult) -> TaskResult | None:
        """Take a result; give the one that is to be kept, once the task is whole."""
        return result if job.whole is None else job.whole.add(result)

    def give_up(
        self, job: Job, status: Literal["timeout", "lost"], message: str
    ) -> TaskResult | None:
        """Try a job that did not come back once more, estimator by estimator; else record why."""
        alone = len(job.task.methods) == 1
        if job.whole is None and not (alone and status == "timeout"):
            whole = Whole(job.task)
            self.waiting += [Job(replace(job.task, methods=(m,)), whole) for m in job.task.methods]
            return None
        return self.done(job, missing(job.task, status, message))
