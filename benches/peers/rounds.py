"""Contestants take turns: in each round everyone runs once, so that whatever slows the machine down slows all of them down."""

import sys
import time

MOST_IDLE = 0.1  # of one core


def check_idle(running):
    """Stops the script if somebody uses the processor while it should wait."""
    for name, process in running.items():
        process.run(1)
        time.sleep(0.2)  # OpenMP's threads wait awake for some milliseconds
        idle = process.idle_share()
        if idle > MOST_IDLE:
            sys.exit(f"{name} uses {idle:.0%} of a core while it should idle: it would disturb the others")


def take_turns(running, counts, rounds, what):
    """The seconds of each contestant's iterations, for every round: {name: [[...], ...]}."""
    seconds = {name: [] for name in running}
    for number in range(rounds):
        print(f"{what}: round {number + 1} of {rounds}", file=sys.stderr)
        for name, process in running.items():
            seconds[name].append(process.run(counts[name]))
    return seconds


def counts(running, seconds):
    """How many iterations of each take about that long."""
    return {name: max(1, min(20, int(seconds / process.second()))) for name, process in running.items()}
