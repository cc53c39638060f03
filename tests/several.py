"""Starts the processes of one run on this machine, as a person would on several."""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import time

import pytest

from trainer.checkpoints import CheckpointStore

ROOT = pathlib.Path(__file__).resolve().parents[1]
DEVICES = '--xla_force_host_platform_device_count='
SECONDS = 240  # for a run; the machine may be busy


def free_port():
    """A port that is free, as is the next one."""
    while True:
        with socket.create_server(('127.0.0.1', 0)) as first:
            port = first.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                socket.create_server(('127.0.0.1', port + 1)).close()
                return port


class Several:
    """The processes of one run.

    Args:
      arguments: of all.
      count: how many there are said to be.
      devices: of each.
      absent: which of them are not started.
      others: further arguments of some, {index: [...]}.
      program: what Python is to run.
    """

    def __init__(
        self, arguments, count=2, devices=4, absent=(), others=None, program=None
    ):
        self.port, self.processes = free_port(), {}
        for index in {*range(count)} - {*absent}:
            command = [sys.executable, *((program or {}).get(index, ['main.py']))]
            command += [f'--coordinator=127.0.0.1:{self.port}']
            command += [f'--process_id={index}', f'--num_processes={count}']
            command += [*arguments, *(others or {}).get(index, [])]
            self.processes[index] = subprocess.Popen(
                list(map(str, command)),
                cwd=ROOT,
                env=os.environ | {'XLA_FLAGS': f'{DEVICES}{devices}'},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def ends(self):
        """Waits for all; {index: (exit code, what it said)}.

        Those that take too long are killed, so that what they said is seen.
        """
        ends = {}
        for index, process in self.processes.items():
            try:
                output, _ = process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
                output, _ = process.communicate(timeout=10)
            ends[index] = process.returncode, output
        return ends

    def kill(self):
        """Leaves none of them, frozen ones neither."""
        for process in self.processes.values():
            process.kill()

    def done(self):
        """Waits for all, which must end well; what process 0 said."""
        ends = self.ends()
        assert {code for code, _ in ends.values()} == {0}, ends
        return ends[0][1]

    def signal_after(self, step, workdir, index, number):
        """Sends a signal to one of them once there is a checkpoint of a step.

        Returns:
          As `ends`, and the seconds until all had ended.
        """
        store = CheckpointStore(workdir / 'checkpoints')
        self.wait_for(lambda: any(saved >= step for saved in store.steps()))
        self.processes[index].send_signal(number)
        began = time.monotonic()
        return self.ends(), time.monotonic() - began

    def wait_for(self, reached):
        """Until a function of nothing says so; none of them may end before."""
        until = time.monotonic() + SECONDS
        while not reached():
            ended = {p.poll() for p in self.processes.values()} != {None}
            if ended or time.monotonic() > until:
                self.kill()
                pytest.fail(f'never came to it: {self.ends()}')
            time.sleep(0.01)
