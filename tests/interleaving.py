"""Runs of the runbook as processes of their own, several at once, of which some are killed."""

import multiprocessing
import random
import threading
import time

_LEAST_KILLED_AFTER, _MOST_KILLED_AFTER = 0.05, 3  # seconds


def deploy(p, whole, errors):
    """The steps in order, under one lease for the `whole` run or each under its own, as notebooks opened by hand."""
    from contextlib import nullcontext

    from runbook import connect, lease, plan
    from runbook.errors import RunbookError

    lease._PATIENCE_SECONDS = 3600
    aws = connect(p)
    try:
        with lease.hold(aws, p) if whole else nullcontext():
            for step in plan.STEPS:
                step.ensure(aws, p)
    except RunbookError as error:
        errors.put(f"{type(error).__name__}: {error}")


def interleaved(variants, number, at_once):
    """`number` runs on params of `variants`, `at_once` of them side by side, every fourth killed at a random moment.

    Gives how many were killed, and the errors of the others.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["runbook.plan"])
    errors, killed, turns = context.Manager().Queue(), [], iter(range(number))
    lock = threading.Lock()

    def go():
        while True:
            with lock:
                turn = next(turns, None)
            if turn is None:
                return
            arguments = (random.choice(variants), random.random() < 0.5, errors)
            run = context.Process(target=deploy, args=arguments)
            run.start()
            if turn % 4 == 3:
                time.sleep(random.uniform(_LEAST_KILLED_AFTER, _MOST_KILLED_AFTER))
                if run.is_alive():
                    killed.append(turn)
                run.kill()
            run.join()
            if run.exitcode and turn not in killed:
                errors.put(f"run {turn} ended with {run.exitcode}")

    threads = [threading.Thread(target=go) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(killed), [errors.get() for _ in range(errors.qsize())]
