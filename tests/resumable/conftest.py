"""A process that has imported all, as that takes longer than what these tests have done by others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture(scope="session")
def server():
    """Has a function of jobs.py called in a process of its own: returns what it answers.

    Its folder is in memory where it can be: what a killed process has given to the kernel is not lost on a disk either,
    and waiting for the disk is most of the time.
    """
    if not hasattr(os, "fork"):
        pytest.skip("needs fork and SIGKILL")
    command = [sys.executable, str(Path(__file__).with_name("jobs.py"))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with TemporaryDirectory(dir=memory) as folder, subprocess.Popen(command, cwd=folder, **pipes) as process:

        def call(*line):
            process.stdin.write(json.dumps(line) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        call.folder = folder
        yield call
        process.stdin.close()
