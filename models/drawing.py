# SPDX-License-Identifier: LGPL-2.1-or-later
"""Drawn clips for training: drawn when asked for, or ahead of time by processes of their own."""

import contextlib
import mmap
import multiprocessing
import os
import queue
import random

import numpy as np
import torch


class Here:
    """Draws when asked: where the network learns on the CPU no core is left over.

    draw (rng, share) returns a clip (T, H, W, 3) uint8 and what else is known of it; `share` of the stage is over.
    """

    def __init__(self, draw, rng):
        self.draw, self.rng, self.device = draw, rng, None

    def to(self, device):
        self.device = device
        return self

    def take(self, number, share=0.0, wait=True):
        """The clips (n, T, H, W, 3) uint8 and a list of what else is known of each; here n is `number`."""
        drawn = [self.draw(self.rng, share) for _ in range(number)]
        return torch.from_numpy(np.stack([d[0] for d in drawn])).to(self.device), [d[1:] for d in drawn]


class Ahead:
    """Processes that draw into shared slots, so that drawing never stalls the device. Start it before the device is used."""

    MEMORY = 2 << 30     # bytes of slots at most

    def __init__(self, draw, shape, processes, seed, share=1.0):
        """shape: of a clip; share: of MEMORY that the slots may take."""
        size = int(np.prod(shape))
        count = max(2 * processes, min(1024, int(share * self.MEMORY) // size))
        self.slots = np.frombuffer(mmap.mmap(-1, count * size), np.uint8).reshape(count, *shape)
        context = multiprocessing.get_context("fork")  # the slots are inherited: no limit of /dev/shm
        self.free, self.ready, self.share = context.Queue(), context.Queue(), context.Value("d", 0.0)
        self.device = self.stream = None
        self.processes = [context.Process(target=self._work, args=(draw, seed + 7919 * (i + 1)), daemon=True) for i in range(processes)]
        for process in self.processes:
            process.start()
        for i in range(count):
            self.free.put(i)

    def _work(self, draw, seed):
        rng, parent = random.Random(seed), os.getppid()
        torch.set_num_threads(1)
        while os.getppid() == parent:
            try:
                slot = self.free.get(timeout=5)
            except queue.Empty:
                continue
            clip, *known = draw(rng, self.share.value)
            self.slots[slot] = clip
            self.ready.put((slot, known))

    def to(self, device):
        """Clips are copied there; pinned memory makes that quick, but it also works without."""
        self.device = torch.device(device)
        if self.device.type == "cuda":
            self.stream = torch.cuda.Stream()
            error = torch.cuda.cudart().cudaHostRegister(self.slots.ctypes.data, self.slots.nbytes, 0)
            if int(error):
                print(f"drawing: memory not pinned (CUDA error {int(error)}), copies are slower", flush=True)
                with contextlib.suppress(RuntimeError):
                    torch.zeros(1, device=self.device)  # takes the error, which the next kernel would report otherwise
        return self

    def take(self, number, share=0.0, wait=False):
        """Like Here.take, but on the device and, without `wait`, no more than what is ready: perhaps nothing."""
        self.share.value = share
        drawn = []
        try:
            while len(drawn) < number:
                drawn.append(self.ready.get(timeout=120) if wait else self.ready.get_nowait())
        except queue.Empty:
            if wait:
                raise RuntimeError("no drawing process answers") from None
        clips = self._copy([slot for slot, _ in drawn])
        for slot, _ in drawn:
            self.free.put(slot)
        return clips, [known for _, known in drawn]

    def _copy(self, slots):
        """On a stream of its own, so that waiting for the copies is not waiting for the training step."""
        with torch.cuda.stream(self.stream):  # None: no effect
            clips = torch.empty(len(slots), *self.slots.shape[1:], dtype=torch.uint8, device=self.device)
            for clip, slot in zip(clips, slots):
                clip.copy_(torch.from_numpy(self.slots[slot]), non_blocking=True)
        if self.stream:
            self.stream.synchronize()
            clips.record_stream(torch.cuda.current_stream())
        return clips


def source(draw, shape, args, seed, share=1.0):
    """Ahead with its share of args.drawers processes, Here with none."""
    if args.drawers == 0:
        return Here(draw, random.Random(seed))
    return Ahead(draw, shape, max(1, round(share * args.drawers)), seed, share)
