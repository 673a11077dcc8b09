# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes tests/golden/scheduler.json with diffusers' FlowMatchEulerDiscreteScheduler: sigmas, and a run over made-up outputs."""

import json
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def run(steps, shift):
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=shift)
    scheduler.set_timesteps(sigmas=[1 - i / steps for i in range(steps)])
    generator = torch.Generator().manual_seed(steps)
    x = torch.randn(4, generator=generator)
    outputs = torch.randn(steps, 4, generator=generator)
    start = x.clone()
    for t, output in zip(scheduler.timesteps, outputs):
        x = scheduler.step(output, t, x, return_dict=False)[0]
    return {"steps": steps, "shift": shift, "sigmas": scheduler.sigmas.tolist(), "timesteps": scheduler.timesteps.tolist(),
            "start": start.tolist(), "outputs": outputs.tolist(), "end": x.tolist()}


if __name__ == "__main__":
    runs = [run(6, 3.0), run(4, 5.0), run(50, 1.0), run(1, 3.0), run(20, 0.5)]
    (GOLDEN / "scheduler.json").write_text(json.dumps(runs) + "\n")
