# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same work on us and on what users have today, stage by stage; scripts/bench-peers runs it.

The model is tests/reference/full_size.py's: Wan 2.1 T2V 1.3B in bf16, UMT5-XXL in Q8_0, Wan's VAE. A ratio is the peer's number over ours: above 1
we are the better. Every process runs one stage alone, ours between the peers', and loading is left out.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
STAGES = ("text-encoder", "transformer", "vae-decoder")
TOKENS = 20
PROMPT = "a red balloon flies up over a city while people on the street look at it"       # about as many tokens in UMT5's vocabulary
FILES = {"transformer": "diffusion_models/wan2.1_t2v_1.3B_random_bf16.safetensors",
         "text-encoder": "text_encoders/umt5-xxl-encoder-random-Q8_0.gguf", "vae-decoder": "vae/wan_2.1_vae_random.safetensors"}


class Failure(Exception):
    pass


def note(text):
    print(text, file=sys.stderr, flush=True)


def threads():
    return os.environ.get("SORA_PEERS_THREADS", str(os.cpu_count()))


def file_of(args, stage):
    return os.path.join(args.models, FILES[stage])


def last_line(text):
    return (text.strip().splitlines() or ["no word"])[-1]


def run_json(command):
    """The line of JSON that a stage's program prints: "seconds", "processor_seconds" and "memory" (bytes)"""
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    if result.returncode != 0:
        raise Failure(f"{os.path.basename(command[0])} ended with {result.returncode}: {last_line(result.stderr)[:300]}")
    try:
        return json.loads(last_line(result.stdout))
    except ValueError:
        raise Failure(f"{os.path.basename(command[0])} printed no result, but: {last_line(result.stdout)[:300]}") from None


class Ours:
    def __init__(self, args):
        self.args = args

    def run(self, stage):
        args = self.args
        return run_json([
            os.path.join(args.build, "tests/bench/bench-stages"), "--device", args.device, "--width", str(args.width), "--height",
            str(args.height), "--frames", str(args.frames), "--tokens", str(TOKENS), "--runs", str(args.runs), file_of(args, "transformer"),
            stage])


class Torch:
    def __init__(self, args):
        self.args = args
        version = subprocess.check_output([sys.executable, "-c", "import torch; print(torch.__version__.split('+')[0])"], text=True)
        self.name = f"PyTorch {version.strip()} {args.torch_dtype}"

    def run(self, stage):
        args = self.args
        return run_json([sys.executable, os.path.join(HERE, "peers_torch.py"), stage, args.models, str(args.width), str(args.height),
                         str(args.frames), str(TOKENS), str(args.runs), args.torch_dtype])


class StableDiffusionCpp:
    """Its program always runs everything: it is stopped when it has said how long the stage took. Where the text encoder is not asked for it is given
    none, and the transformer then sees 256 rows of zeros for the text, half of what it has with one, which saves it a few hundredths."""

    STEPS = 2
    # What is said before a stage, and after it, with the seconds
    LINES = {"text-encoder": (r"loading tensors completed", r"get_learned_condition completed, taking ([\d.]+) ?s"),
             "transformer": (r"generate_video \d+x", r"\bsampling completed, taking ([\d.]+) ?s"),
             "vae-decoder": (r"generating latent video completed", r"decode_first_stage completed, taking ([\d.]+) ?s")}
    BUFFER = r"compute buffer size: *([\d.]+) *MB"

    def __init__(self, args):
        self.args = args
        self.name = "stable-diffusion.cpp"

    def command(self, stage, folder):
        args = self.args
        steps = self.STEPS if stage == "transformer" else 1
        encoder = ["--t5xxl", file_of(args, "text-encoder")] if stage == "text-encoder" else []
        return ["stdbuf", "-oL", args.stable_diffusion, "-M", "vid_gen", "--diffusion-model", file_of(args, "transformer"), *encoder,
                "--vae", file_of(args, "vae-decoder"), "-p", PROMPT, "--cfg-scale", "1", "--sampling-method", "euler", "--steps", str(steps),
                "-W", str(args.width), "-H", str(args.height), "--video-frames", str(args.frames), "--flow-shift", "3", "--diffusion-fa", "-v",
                "-t", threads(), "-o", os.path.join(folder, "video.avi")]

    def run(self, stage):
        with tempfile.TemporaryDirectory() as folder:
            process = subprocess.Popen(self.command(stage, folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
            try:
                return self.watch(stage, process)
            finally:
                process.kill()
                process.wait()

    def watch(self, stage, process):
        begin, end = self.LINES[stage]
        found, last, started = {}, "no word", None
        for line in process.stdout:
            last = line.strip() or last
            if re.search(begin, line):
                found, started = {}, processor_seconds(process.pid)
            if match := re.search(self.BUFFER, line):
                found["memory"] = 2**20 * float(match[1])
            if match := re.search(end, line):
                steps = self.STEPS if stage == "transformer" else 1
                if started is not None:
                    found["processor_seconds"] = (processor_seconds(process.pid) - started) / steps
                return {**found, "seconds": float(match[1]) / steps}
        raise Failure(f"{self.name} ended before it had run the {stage}: {last[:300]}")


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def compare(ours, peers, stage):
    """Rows of a stage: seconds, and processor time and working memory where the peer says them"""
    for peer in peers:
        mine = ours.run(stage)
        note(f"{stage}, ours: {mine}")
        try:
            theirs = peer.run(stage)
        except Failure as failure:
            note(f"{stage}, {peer.name}: {failure}")
            continue
        note(f"{stage}, {peer.name}: {theirs}")
        for key, name, scale, unit in (("seconds", stage, 1, "s"), ("processor_seconds", f"{stage}, processor time", 1, "s"),
                                       ("memory", f"{stage}, working memory", 1e-9, "GB")):
            if key in theirs:
                yield {"name": name, "value": mine[key] * scale, "unit": unit, "ratio": theirs[key] / mine[key], "against": peer.name,
                       "theirs": theirs[key] * scale}


def parse():
    parser = argparse.ArgumentParser(prog="scripts/bench-peers", description="The same work on us and on what users have today.")
    parser.add_argument("--json", action="store_true", help="one object a line instead of a table")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, help="default: all")
    parser.add_argument("--size", default="256x256", help="WIDTHxHEIGHT in pixels (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=9, help="1 more than a multiple of 4 (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="of which the quickest counts, but of stable-diffusion.cpp (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="ours, as \"sora devices\" lists them (default: %(default)s)")
    parser.add_argument("--torch-dtype", default="bfloat16", help="default: %(default)s")
    parser.add_argument("--models", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--stable-diffusion", default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", args.size):
        parser.error("--size must be WIDTHxHEIGHT, as in 256x256")
    args.width, args.height = map(int, args.size.split("x"))
    if args.width % 16 or args.height % 16:
        parser.error("--size must be multiples of 16")
    if args.frames < 1 or args.frames % 4 != 1:
        parser.error("--frames must be 1 more than a multiple of 4")
    if args.runs < 1:
        parser.error("--runs must be at least 1")
    return args


def main():
    args = parse()
    ours = Ours(args)
    peers = [Torch(args)] + ([StableDiffusionCpp(args)] if args.stable_diffusion else [])
    rows = []
    for stage in args.stages:
        for row in compare(ours, peers, stage):
            rows.append(row)
            if args.json:
                print(json.dumps(row), flush=True)
    if not rows:
        raise Failure("nothing could be compared")
    if not args.json:
        print(f"{'ratio':>6}  {'against':<24}  {'benchmark':<32}  {'ours':>10}  {'theirs':>10}")
        for row in rows:
            print(f"{row['ratio']:6.2f}  {row['against']:<24}  {row['name']:<32}  {row['value']:10.4g}  {row['theirs']:10.4g} {row['unit']}")


try:
    main()
except Failure as failure:
    sys.exit(f"scripts/bench-peers: {failure}")
