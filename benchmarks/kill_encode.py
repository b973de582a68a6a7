"""Does `pointwise encode`, killed at random moments and started again, end with the table that nothing interrupted?

2,000 images, 63 shards, 20 times SIGKILL at seeded random moments: while it imports, encodes, writes. Printed are the
moment of each kill, the shards that it found and left, and whether the file of every shard that was found is still the
very same one (so that nothing finished was encoded again, and a kill costs the one shard under way). Then it runs to
its end, and the bytes of the tables are compared.

    python benchmarks/kill_encode.py [--output table.parquet] [--images 2000] [--kills 20] [--seed 0]
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SHARD_ROWS = 32


def main():
    arguments = parsed()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        rng = np.random.default_rng(arguments.seed)
        write_images(arguments.images, rng)
        whole = Path("whole" + Path(arguments.output).suffix)
        starting()  # from the disk; from now on from memory
        first = starting()
        started = time.monotonic()
        finish(start(whole))
        seconds = time.monotonic() - started
        print(f"not interrupted: {seconds:.1f} s, of which the start takes {first:.1f} s\n")
        a_shard = max(seconds - first, 1) * SHARD_ROWS / arguments.images
        kill_often(Path(arguments.output), arguments.kills, first, a_shard, rng)
        process = start(Path(arguments.output))
        print(f"\nthen to the end: {finish(process).strip()}")
        same = contents(Path(arguments.output)) == contents(whole)
        left = sorted(set(os.listdir()) - {"images", arguments.output, str(whole)})
        print(f"the same bytes as the table that nothing interrupted: {same}; left beside it: {left or 'nothing'}")
        sys.exit(0 if same and not left else 1)


def kill_often(output, kills, first, a_shard, rng):
    """Kill each start while it imports, or while it encodes the first, second or third shard that it adds.

    ``first`` and ``a_shard`` are the seconds that the imports and a shard take.
    """
    print("| kill | after s | shards found | shards left | found ones untouched |")
    print("|---|---|---|---|---|")
    for kill in range(1, kills + 1):
        before = shards(output)
        more = int(rng.integers(3))
        began = time.monotonic()
        process = start(output)
        while process.poll() is None and len(shards(output)) < len(before) + more:
            time.sleep(0.001)
        time.sleep(float(rng.uniform(0, a_shard if more else first + a_shard)))
        process.send_signal(signal.SIGKILL)
        after_s = time.monotonic() - began
        process.communicate()
        moment = f"{after_s:.2f}" if process.returncode == -signal.SIGKILL else "was done before"
        after = shards(output)
        untouched = all(after.get(name) == stamp for name, stamp in before.items())
        print(f"| {kill} | {moment} | {len(before)} | {len(after)} | {untouched} |", flush=True)


def start(output):
    command = [sys.executable, "-m", "pointwise", "encode", "images", "-o", str(output)]
    command += ["--encoder", "bundled:128", "--shard-rows", str(SHARD_ROWS)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finish(process):
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out


def starting():
    """Seconds until a process has imported all and loaded the weights."""
    code = "from pointwise.cli import main; from pointwise.encoders import load_encoder; load_encoder('bundled:128')"
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.monotonic() - started


def shards(output):
    """The finished shards in the work folder, with what changes when a file is written anew."""
    found = Path(f"{output}.partial").glob("*.part.safetensors")
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def contents(path):
    if path.is_dir():
        return {child.name: child.read_bytes() for child in path.iterdir()}
    return path.read_bytes()


def write_images(count, rng):
    os.mkdir("images")
    for i in range(count):
        Image.fromarray(rng.integers(256, size=(32, 32, 3), dtype=np.uint8)).save(f"images/{i:05d}.png")


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default="table.parquet", help="name of the table; without suffix a folder")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
