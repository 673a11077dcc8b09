# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the training stages share: arguments, the device, the clock, checkpoints, learning rates, Muon, the log."""

import math
import os
import signal
import socket
import sys
import time
from functools import lru_cache
from pathlib import Path

import torch
import torch._dynamo
import torch.distributed as dist


class Team:
    """Workers of one thread each that average their gradients: they need not wait for each other inside a step."""

    def __init__(self, rank=0, size=1):
        self.rank, self.size = rank, size

    @property
    def first(self):
        return self.rank == 0

    def sum(self, tensors):
        """Sums lists of tensors over the workers, in place."""
        if self.size == 1:
            return
        flat = torch.cat([t.flatten() for t in tensors])
        dist.all_reduce(flat)
        for t, part in zip(tensors, flat.split([t.numel() for t in tensors])):
            t.copy_(part.view_as(t))

    def mean_gradients(self, parameters):
        gradients = [p.grad for p in parameters if p.grad is not None]
        self.sum(gradients)
        if self.size > 1:
            torch._foreach_div_(gradients, self.size)

    def agree(self, *values):
        """The same numbers for all: the means."""
        numbers = torch.tensor(values, dtype=torch.float32)
        self.sum([numbers])
        return (numbers / self.size).tolist()

    def barrier(self):
        if self.size > 1:
            dist.barrier()


def add_arguments(parser, minutes, save_every, start="an exported model directory"):
    """What every stage can be told; start: what --from-model names."""
    parser.add_argument("--minutes", type=float, default=minutes, help="of the whole stage, earlier runs of it counted in")
    parser.add_argument("--until", type=float, default=math.inf, help="seconds since 1970 at which this run stops; the stage can go on later")
    parser.add_argument("--save-every", type=float, default=save_every, help="minutes")
    parser.add_argument("--from-model", help=f"start from {start}")
    parser.add_argument("--device", choices=("cpu", "cuda"), default=default_device())
    parser.add_argument("--workers", type=int, help="processes of one thread that learn on the CPU (default 2); on CUDA one learns")
    parser.add_argument("--drawers", type=int, help="processes that draw ahead (default: none on the CPU, with CUDA all cores but one)")
    parser.add_argument("--seed", type=int, default=1)


def parse_arguments(parser, defaults):
    """The arguments; those not given and not the same on each device come from defaults[device]."""
    args = parser.parse_args()
    cuda = args.device == "cuda"
    numbers = dict(defaults[args.device], workers=1 if cuda else 2, drawers=max(1, (os.cpu_count() or 2) - 1) if cuda else 0)
    for name, value in numbers.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if cuda and args.workers != 1:
        parser.error("one process learns on CUDA: --workers 1")
    return args


def default_device():
    return "cuda" if torch.cuda.is_available() else "cpu"


def bf16_gains(device):
    """Whether the device multiplies bf16 faster than fp32; a CPU without instructions for it is several times slower."""
    return torch.device(device).type == "cuda" or "avx512_bf16" in _cpu_flags()


@lru_cache(maxsize=1)
def _cpu_flags():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ()
    return tuple(next((line.split() for line in lines if line.startswith("flags")), ()))


def autocast(device):
    """bf16 where the device gains by it."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bf16_gains(device))


def upload(array, device):
    """An array as a tensor on the device; on CUDA without waiting for the work under way."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if torch.device(device).type == "cuda" else tensor


def _work(rank, function, args, port):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=args.workers)
    try:
        function(args, Team(rank, args.workers))
    finally:
        dist.destroy_process_group()


def launch(function, args):
    """Runs function (args, team) in args.workers processes."""
    if args.workers == 1:
        torch.set_num_threads(1)
        return function(args, Team())
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the workers end too
    torch.multiprocessing.spawn(_work, (function, args, port), args.workers, daemon=True)


def _in_turn(team, compiled, plain, log):
    """What `compiled` gives, or `plain` where the compiler fails. The first worker compiles; the others then find the result in the compiler's cache."""
    def attempt():
        try:
            return compiled()
        except Exception as error:
            log(f"not compiled, slower: {type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")
        return plain()

    result = attempt() if team.first else None
    team.barrier()
    return result if team.first else attempt()


def compile_in_turn(team, function, use, log):
    """`function` compiled, or as it is where the compiler fails; `use` (compiled) runs it once."""
    def used(form):
        use(form)
        return form
    return _in_turn(team, lambda: used(torch.compile(function, dynamic=False)), lambda: used(function), log)


def compile_blocks(team, blocks, use, log):
    """Compiles the blocks of networks, in place, or leaves them as they are where the compiler fails; `use` runs them once.

    Blocks that are alike are compiled once for all, which takes a quarter of the time of a whole network.
    """
    torch._dynamo.config.recompile_limit = 64      # every shape that they are used with, with and without a gradient

    def compiled():
        for block in blocks:
            if block._compiled_call_impl is None:
                block.compile(dynamic=False)
        use()

    def plain():
        for block in blocks:
            block._compiled_call_impl = None
        use()
    _in_turn(team, compiled, plain, log)


def checkpoint_directory():
    path = Path(os.environ.get("SORA_CHECKPOINTS", "/tmp/gst-sora-training"))
    path.mkdir(parents=True, exist_ok=True)
    return path


class Clock:
    """Minutes of one stage, counted over interruptions: `spent` seconds come from the checkpoint; `until` stops this run."""

    def __init__(self, minutes, spent=0.0, until=math.inf):
        self.total = minutes * 60
        self.spent, self.until = spent, until
        self.start = time.monotonic()
        self.marks = {}

    @property
    def seconds(self):
        return self.spent + time.monotonic() - self.start

    @property
    def share(self):
        return min(1.0, self.seconds / max(self.total, 1e-9))

    def shares(self, team):
        """The share of the stage that is over, the same for all workers, before every step until the stage or the run ends."""
        while True:
            share, stopped = team.agree(self.share, float(time.time() >= self.until))
            if share >= 1 or stopped:
                return
            yield share

    def every(self, name, seconds):
        """True once in so many seconds."""
        now = self.seconds
        if now - self.marks.setdefault(name, self.seconds if self.spent == 0 else now) < seconds:
            return False
        self.marks[name] = now
        return True


def rate(share, step, warmup=200, decay=0.5, floor=0.02):
    """Share of the full learning rate: up over `warmup` steps, down over the last `decay` of the time."""
    return min(1.0, (step + 1) / warmup) * max(floor, min(1.0, (1 - share) / decay))


def save_checkpoint(path, state):
    """Never leaves half a file behind."""
    fresh = path.with_suffix(".new")
    torch.save(state, fresh)
    os.replace(fresh, path)


def log(path, text):
    line = time.strftime("%H:%M:%S ", time.gmtime()) + text
    print(line, flush=True)
    with open(path, "a") as f:
        f.write(line + "\n")


def orthogonal(gradient):
    """Newton-Schulz iteration towards the nearest orthogonal matrix (Muon, Keller Jordan 2024); (B, n, m)."""
    x = gradient.to(torch.bfloat16 if bf16_gains(gradient.device) else torch.float32)
    tall = x.shape[-2] > x.shape[-1]
    x = x.transpose(-1, -2) if tall else x
    x = x / (x.float().norm(dim=(-2, -1), keepdim=True) + 1e-7).to(x.dtype)
    for _ in range(5):
        a = x @ x.transpose(-1, -2)
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.transpose(-1, -2) if tall else x).float()


class Muon:
    """Momentum, made orthogonal, for matrices and kernels (as out x the rest); those of one shape go together."""

    def __init__(self, parameters, momentum=0.95, weight_decay=0.01, team=Team(), scales=None):
        """scales: what the learning rate of each parameter is multiplied by."""
        self.parameters, self.team = list(parameters), team
        self.scales = scales or [1.0] * len(self.parameters)
        self.momentum, self.weight_decay = momentum, weight_decay
        self.state = [torch.zeros_like(p) for p in self.parameters]
        shapes = {}
        for i, p in enumerate(self.parameters):
            shapes.setdefault(p.shape, []).append(i)
        self.groups = list(shapes.values())

    def zero_grad(self):
        for p in self.parameters:
            p.grad = None

    @torch.no_grad()
    def step(self, rate):
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.parameters]
        torch._foreach_mul_(self.state, self.momentum)
        torch._foreach_add_(self.state, gradients)
        nesterov = torch._foreach_add(gradients, self.state, alpha=self.momentum)
        updates = [torch.zeros_like(p) for p in self.parameters]
        for group in self.groups:
            mine = group[self.team.rank::self.team.size]
            if mine:
                for i, u in zip(mine, orthogonal(torch.stack([nesterov[i].flatten(1) for i in mine]))):
                    updates[i].copy_(u.view_as(updates[i]))
        self.team.sum(updates)
        for p, u, scale in zip(self.parameters, updates, self.scales):
            p.mul_(1 - scale * rate * self.weight_decay)
            p.add_(u, alpha=-scale * rate * max(1.0, p.shape[0] / p.shape[1:].numel()) ** 0.5)
