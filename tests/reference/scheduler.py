# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes tests/golden/scheduler.json with diffusers' schedulers: noise levels, timesteps, and runs over a made-up network."""

import json
from pathlib import Path

import torch
from diffusers import DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

GOLDEN = Path(__file__).resolve().parents[1] / "golden"

# What the network says of three numbers x at sigma: A x + B sigma + C.
A = torch.tensor([[0.9, -0.4, 0.3]], dtype=torch.float64)
B = torch.tensor([[0.5, 1.0, -2.0]], dtype=torch.float64)
C = torch.tensor([[-0.2, 0.3, 0.7]], dtype=torch.float64)
START = torch.tensor([[0.6, -1.2, 2.1]], dtype=torch.float64)


def make(sampler, prediction, steps, shift):
    """A scheduler as Wan's pipelines set it. Euler's is given its times, as otherwise its end depends on the shift twice."""
    if sampler == "euler":
        scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=shift)
        scheduler.set_timesteps(sigmas=[1 - i / steps for i in range(steps)])
        return scheduler
    kind = {"unipc": UniPCMultistepScheduler, "dpmpp-2m": DPMSolverMultistepScheduler}[sampler]
    scheduler = kind(num_train_timesteps=1000, solver_order=2, use_flow_sigmas=True, flow_shift=shift,
                     prediction_type={"flow": "flow_prediction", "sample": "sample"}[prediction])
    scheduler.set_timesteps(steps)
    return scheduler


def walk(scheduler, dtype):
    """The numbers after every step, computed in @dtype from sigmas of single precision."""
    torch.set_default_dtype(dtype)      # of the 1 that UniPC puts into its equations
    scheduler.sigmas = scheduler.sigmas.to(dtype)
    x, a, b, c = (values.to(dtype) for values in (START, A, B, C))
    latents = []
    for i, t in enumerate(scheduler.timesteps):
        x = scheduler.step(a * x + b * scheduler.sigmas[i] + c, t, x, return_dict=False)[0]
        latents.append(x[0].tolist())
    return latents


def run(sampler, prediction, steps, shift):
    scheduler = make(sampler, prediction, steps, shift)
    sigmas = scheduler.sigmas.tolist()
    # only UniPC computes in what it is given: the others cast to single precision in every step
    exact = walk(make(sampler, prediction, steps, shift), torch.float64)
    return {"sampler": sampler, "prediction": prediction, "steps": steps, "shift": shift, "sigmas": sigmas,
            "timesteps": scheduler.timesteps.tolist(), "latents": [[round(v, 12) for v in x] for x in exact],
            "single_end": walk(scheduler, torch.float32)[-1]}


if __name__ == "__main__":
    torch.set_num_threads(1)
    runs = [run(sampler, "flow", steps, shift) for sampler in ("euler", "unipc", "dpmpp-2m") for shift in (1.0, 3.0, 5.0, 8.0)
            for steps in (1, 2, 3, 4, 10, 50)]
    runs += [run(sampler, "sample", steps, 3.0) for sampler in ("unipc", "dpmpp-2m") for steps in (1, 2, 3, 10)]
    runs += [run(sampler, "flow", 20, 0.5) for sampler in ("euler", "unipc", "dpmpp-2m")]
    (GOLDEN / "scheduler.json").write_text(json.dumps(runs) + "\n")
