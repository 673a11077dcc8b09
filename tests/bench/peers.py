# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same work on us and on what users have today, stage by stage and as a whole; scripts/bench-peers runs it.

A ratio is the peer's seconds over ours (or its peak memory over ours): above 1 we are the better. Each number of a peer stands beside one of
ours that was taken just before it. "whole" is a process from its start to the last frame, with guidance.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PROMPT = "a red balloon flies up over a city while people on the street look at it"
STAGES = ("text-encoder", "transformer", "vae-decoder")


class Failure(Exception):
    pass


def note(text):
    print(text, file=sys.stderr, flush=True)


def run(command, **environment):
    """Returns what it printed, its seconds and its peak memory in bytes; a Failure names its last words."""
    with tempfile.TemporaryFile("w+") as output:
        begin = time.monotonic()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **environment})
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - begin
        output.seek(0)
        text = output.read()
    if process.returncode != 0:
        last = text.strip().splitlines()[-1:] or ["no word"]
        raise Failure(f"{os.path.basename(command[0])} ended with {process.returncode}: {last[0][:300]}")
    return text, seconds, usage.ru_maxrss * 1024


# Each peer and we give {stage: seconds}, and for "whole" also "memory": bytes.

class Ours:
    def __init__(self, args):
        self.args = args

    def models(self):
        text, _, _ = run([os.path.join(self.args.build, "opencl/tool/sora"), "models", "--json", self.args.models])
        ready = []
        for model in json.loads(text):
            if model["ready"]:
                ready.append(model)
            else:
                note(f"{model['name']} is left out: {model['error'] or '; '.join(model['missing'])}")
        return ready

    def generate(self, model, guidance):
        args = self.args
        with tempfile.TemporaryDirectory() as folder:
            return run([
                os.path.join(args.build, "opencl/tool/sora"), "generate", "--quiet", "--stats", "--model", model["path"], "--device", args.device,
                "--size", f"{args.width}x{args.height}", "--frames", str(args.frames), "--steps", str(args.steps), "--guidance-scale",
                str(guidance), "--sampler", "euler", "--prompt", PROMPT, "--output", os.path.join(folder, "video.y4m")])

    def stages(self, model):
        """Without guidance, so that a step is one evaluation; the quicker of two runs, as with PyTorch, but of two processes, so that what a
        driver does at a kernel's first launch counts. Stages are told to the millisecond: none took less than half of one."""
        runs = []
        for _ in range(2):
            text, _, _ = self.generate(model, 1)
            stats = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
            runs.append({"text-encoder": float(stats["text_encoder_seconds"]),
                         "transformer": float(stats["transformer_seconds"]) / self.args.steps,
                         "vae-decoder": float(stats["vae_seconds"])})
        return {stage: max(min(run[stage] for run in runs), 0.0005) for stage in STAGES}

    def whole(self, model):
        _, seconds, memory = self.generate(model, 5)
        return {"whole": seconds, "memory": memory}


class Torch:
    """diffusers' folders. Single precision where it fits, and bfloat16: the quicker counts."""

    def __init__(self, args):
        self.args = args
        version, _, _ = run([sys.executable, "-c", "import torch; print(torch.__version__.split('+')[0])"])
        self.name = f"PyTorch {version.strip()}"

    def takes(self, model):
        config = os.path.join(model["path"], "vae", "config.json")
        if not os.path.exists(os.path.join(model["path"], "model_index.json")):
            return False
        with open(config) as file:
            return json.load(file)["_class_name"] == "AutoencoderKLWan"

    def job(self, stage, model, dtype):
        args = self.args
        return run([sys.executable, os.path.join(HERE, "peers_torch.py"), stage, model["path"], str(args.width), str(args.height),
                    str(args.frames), str(args.steps), dtype, PROMPT], HF_HUB_OFFLINE="1")

    def dtypes(self, paths):
        """What there is memory for: the weights are counted by the files, which have two bytes for each."""
        needed = 2 * sum(os.path.getsize(os.path.join(folder, name)) for path in paths for folder, _, names in os.walk(path)
                         for name in names)
        with open("/proc/meminfo") as file:
            available = 1024 * int(re.search(r"MemAvailable: *(\d+)", file.read())[1])
        return [dtype for dtype in self.args.torch_dtypes if dtype != "float32" or needed < 0.7 * available]

    def best(self, stage, model, paths):
        results = []
        for dtype in self.dtypes(paths):
            try:
                text, seconds, memory = self.job(stage, model, dtype)
                results.append((seconds if stage == "whole" else float(text.split()[-1]), memory, dtype))
            except Failure as failure:
                note(f"{self.name}, {dtype}, {stage}: {failure}")
        return min(results, default=None)

    def stages(self, model):
        found = {}
        for stage, part in zip(STAGES, ("text_encoder", "transformer", "vae")):
            best = self.best(stage, model, [os.path.join(model["path"], part)])
            if best:
                note(f"{self.name}, {stage}: {best[0]:.3f} s in {best[2]}")
                found[stage] = best[0]
        return found

    def whole(self, model):
        best = self.best("whole", model, [os.path.join(model["path"], part) for part in ("text_encoder", "transformer", "vae")])
        return {"whole": best[0], "memory": best[1]} if best else {}


class StableDiffusionCpp:
    """A transformer's file with the parts that we run it with; published sizes alone."""

    LINES = {"text-encoder": r"get_learned_condition completed, taking ([\d.]+) ?s",
             "transformer": r"\bsampling completed, taking ([\d.]+) ?s",
             "vae-decoder": r"decode_first_stage completed, taking ([\d.]+) ?s"}

    def __init__(self, args):
        self.args = args
        self.name = "stable-diffusion.cpp"

    def takes(self, model):
        return os.path.isfile(model["path"])

    def generate(self, model, guidance):
        args, parts = self.args, model["parts"]
        vae = "--tae" if "tae" in os.path.basename(parts["vae"]).lower() else "--vae"
        with tempfile.TemporaryDirectory() as folder:
            return run([
                args.stable_diffusion, "-M", "vid_gen", "--diffusion-model", parts["transformer"], "--t5xxl", parts["text_encoder"],
                vae, parts["vae"], "-p", PROMPT, "--cfg-scale", str(guidance), "--sampling-method", "euler", "--steps", str(args.steps),
                "-W", str(args.width), "-H", str(args.height), "--video-frames", str(args.frames), "--flow-shift", "3", "-v",
                "-t", os.environ.get("SORA_PEERS_THREADS", str(os.cpu_count())), "-o", os.path.join(folder, "video.avi")])

    def stages(self, model):
        try:
            text, _, _ = self.generate(model, 1)
        except Failure as failure:
            note(f"{self.name}: {failure}")
            return {}
        found = {stage: re.search(pattern, text) for stage, pattern in self.LINES.items()}
        for stage in (stage for stage, match in found.items() if not match):
            note(f"{self.name}: it did not say how long the {stage} took")
        seconds = {stage: float(match[1]) for stage, match in found.items() if match}
        if "transformer" in seconds:
            seconds["transformer"] /= self.args.steps
        return seconds

    def whole(self, model):
        try:
            _, seconds, memory = self.generate(model, 5)
        except Failure as failure:
            note(f"{self.name}: {failure}")
            return {}
        return {"whole": seconds, "memory": memory}


def compare(ours, peer, model):
    """Rows of one model against one peer: ratio, against, name, value, unit."""
    mine = ours.stages(model)
    theirs = peer.stages(model)
    mine.update(ours.whole(model))
    theirs.update(peer.whole(model))
    for key in (*STAGES, "whole", "memory"):
        if key in theirs:
            value, unit = (mine[key] / 1e9, "GB") if key == "memory" else (mine[key], "s")
            yield {"name": f"{key} of {model['name']}", "value": value, "unit": unit, "ratio": theirs[key] / mine[key],
                   "against": peer.name}


def parse():
    parser = argparse.ArgumentParser(prog="scripts/bench-peers", description="The same work on us and on what users have today.")
    parser.add_argument("--json", action="store_true", help="one object a line instead of a table")
    parser.add_argument("--small", action="store_true", help="a small random model, which stable-diffusion.cpp does not know")
    parser.add_argument("--models", help="a folder of models to run (default: random ones of full size, which are written first)")
    parser.add_argument("--size", default="256x256", help="WIDTHxHEIGHT in pixels (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=9, help="1 more than a multiple of 4 (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--device", default="cpu", help="ours, as \"sora devices\" lists them (default: %(default)s)")
    parser.add_argument("--torch-dtypes", nargs="+", default=["float32", "bfloat16"], metavar="DTYPE")
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--stable-diffusion", default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", args.size):
        parser.error("--size must be WIDTHxHEIGHT, as in 256x256")
    args.width, args.height = map(int, args.size.split("x"))
    if args.frames < 1 or args.frames % 4 != 1:
        parser.error("--frames must be 1 more than a multiple of 4")
    if args.steps < 1:
        parser.error("--steps must be at least 1")
    return args


def main():
    args = parse()
    ours = Ours(args)
    peers = [Torch(args)] + ([StableDiffusionCpp(args)] if args.stable_diffusion else [])
    rows = []
    for model in ours.models():
        for peer in (peer for peer in peers if peer.takes(model)):
            for row in compare(ours, peer, model):
                rows.append(row)
                if args.json:
                    print(json.dumps(row), flush=True)
    if not rows:
        raise Failure(f"nothing in {args.models} could be compared")
    if not args.json:
        print(f"{'ratio':>6}  {'against':<24}  {'benchmark':<44}  {'value':>10}")
        for row in rows:
            print(f"{row['ratio']:6.2f}  {row['against']:<24}  {row['name']:<44}  {row['value']:10.4g} {row['unit']}")


try:
    main()
except Failure as failure:
    sys.exit(f"scripts/bench-peers: {failure}")
