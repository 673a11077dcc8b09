# SPDX-License-Identifier: LGPL-2.1-or-later
"""The sampler in PyTorch: block after block, as the engine streams, but without a cache."""

import torch

import training
from transformer import block_causal_mask


def sigmas(steps, shift):
    u = 1 - torch.arange(steps + 1, dtype=torch.float64) / steps
    return shift * u / (1 + (shift - 1) * u)


def encode_texts(encoder, words, texts, rows):
    """Rows of the texts' embeddings for cross-attention (B, rows, D); what is left over is zero."""
    ids = torch.tensor([words.ids(t, rows) for t in texts])
    return encoder(ids.to(encoder.shared.weight.device))


class Context:
    """What a block sees of the past, `latents` (B, C, m, h, w), already noised, and `timesteps` of each: what the engine's cache is made of.

    Where the cache is filled by passes that see the past, all of it is kept, as what is seen has seen what was before.
    """

    def __init__(self, sora):
        self.block, self.alone, self.sink = sora["block_latents"], sora.get("context_alone", False), sora.get("sink_latents", 0)
        self.room, self.renewals, self.latents = sora["window_latents"] - self.block, 0, None
        self.noise, self.timestep, self.change = sora["context_noise"], float(sora["context_timestep"]), sora.get("change_noise", 0)
        self.newest, self.noisier = None, 0     # clean block and its noise; how many of the last latents have the noise of a change
        if self.sink and not self.alone:
            raise ValueError("a sink (sink_latents) is sampled only where the past is seen alone (context_alone)")

    @property
    def timesteps(self):
        count = 0 if self.latents is None else self.latents.shape[2]
        return [self.timestep] * (count - self.noisier) + [1000.0 * self.change] * self.noisier

    def add(self, clean, noise):
        """Takes a finished block in, and the noise that it gets."""
        self.newest, self.noisier = (clean, noise), 0
        block = (1 - self.noise) * clean + self.noise * noise
        if self.latents is None or self.renewals:
            self.latents, self.renewals = block, max(0, self.renewals - 1)
            return
        self.latents = torch.cat([self.latents, block], 2)
        count = self.latents.shape[2]
        if self.alone and count > self.room:
            self.latents = torch.cat([self.latents[:, :, :self.sink], self.latents[:, :, count - self.room + self.sink:]], 2)

    def renew(self):
        """The prompt has changed: the sink goes; the block after the next one is the new one, as it is the first that sees nothing of the old prompt.
        The newest block is seen through the noise of a change, if there is one."""
        if not self.sink or self.latents is None:
            return
        if not self.renewals and self.latents.shape[2] > self.sink:
            self.latents = self.latents[:, :, self.sink:]
        self.renewals = 2
        if self.change:
            clean, noise = self.newest
            self.noisier = clean.shape[2]
            self.latents = torch.cat([self.latents[:, :, :-self.noisier], (1 - self.change) * clean + self.change * noise], 2)


def core(latents, before, threshold):
    """Temporal coring of a block (B, C, n, h, w), firm shrinkage (Gao & Bruce 1997) of what changes, decided with what is around (Cai & Silverman 2001).

    A cell stays as it was in the latent before, at first in `before` (B, C, 0 or 1, h, w), where the change around it is below `threshold`; it is as it is
    where that is twice as much, and in between changes by twice what is above. The change around a cell is the root mean square
    over channels and the 7x7 cells around it, or half of its own where that is more.
    """
    out = list(before.unbind(2))
    for latent in latents.unbind(2):
        if out and threshold:
            change = latent - out[-1]
            own = change.pow(2).mean(1, keepdim=True)
            around = torch.nn.functional.avg_pool2d(own, 7, 1, 3, count_include_pad=False)
            rms = torch.maximum(around, own / 4).sqrt()
            latent = out[-1] + change * (2 - 2 * threshold / rms.clamp(min=1e-9)).clamp(0, 1)
        out.append(latent)
    return torch.stack(out[before.shape[2]:], 2)


def velocity(output, x, sigma, sora):
    return (x - output) / max(sigma, 0.05) if sora["prediction_type"] == "sample" else output


def denoise_block(model, past, timesteps, x, text, empty, sora, tokens):
    """One block x (B, C, n, h, w), all noise, to its clean latents; past (B, C, m, h, w) is already noised, `timesteps` (m) say how much.

    What a block begins with and is given, an image's latent, is the end of the past to it; x is then the rest of the block.
    With a guidance scale of 1 the empty prompt is not evaluated.
    """
    m, n = past.shape[2], x.shape[2]
    guided = sora["guidance_scale"] != 1
    mask = block_causal_mask(m + n, tokens, sora["block_latents"], sora["window_latents"], sora.get("context_alone", False)).to(x.device)
    levels = sigmas(sora["steps"], sora["shift"]).tolist()
    both = torch.cat([text, empty]) if guided else text
    for now, later in zip(levels, levels[1:]):
        time = torch.tensor([[*timesteps, *[1000 * now] * n]], device=x.device)
        frames = torch.cat([past, x], 2).repeat(2 if guided else 1, 1, 1, 1, 1)
        out = model(frames, time.expand(len(frames), -1), both, mask)[:, :, m:]
        if guided:
            with_text, without = (velocity(o, x, now, sora) for o in out.chunk(2))
            x = x + (later - now) * (without + sora["guidance_scale"] * (with_text - without))
        else:
            x = x + (later - now) * velocity(out, x, now, sora)
    return x


@torch.no_grad()
def generate(parts, words, texts, sora, latents=8, size=(16, 16), seed=0, single=False, image=None, later=None, noise=None):
    """Normalised latents (B, C, latents, h, w) for the texts; `single` makes one latent and stops.

    image (B, C, 1, h, w): the normalised latent of a frame that the video begins with.
    later: (latent, texts): from this latent on, the prompts are these.
    noise: a function of a block's index and its shape, to the noise that it begins as and that of its context; else both are of the seed.
    """
    model = parts["transformer"]
    text = encode_texts(parts["text_encoder"], words, texts, sora["text_length"])
    empty = encode_texts(parts["text_encoder"], words, [""] * len(texts), sora["text_length"])
    device = text.device
    generator = torch.Generator().manual_seed(seed)  # on the CPU: the same noise for every device
    channels, block = model.config["in_channels"], 1 if single else sora["block_latents"]
    none = torch.zeros(len(texts), channels, 0, *size, device=device)
    context, clean, given = Context(sora), [], none if image is None else image.to(device)
    with training.autocast(device):
        for begin in range(0, 1 if single else latents, block):
            if later and begin == later[0]:
                text = encode_texts(parts["text_encoder"], words, later[1], sora["text_length"])
                context.renew()
            shape = (len(texts), channels, block, *size)
            pair = noise(begin // block, shape) if noise else (torch.randn(shape, generator=generator) for _ in range(2))
            x, again = (part.to(device) for part in pair)
            s, n = sora["context_noise"], given.shape[2]
            past = none if context.latents is None else context.latents
            held = torch.cat([past, (1 - s) * given + s * again[:, :, :n]], 2)
            x = denoise_block(model, held, context.timesteps + [context.timestep] * n, x[:, :, n:], text, empty, sora, size[0] * size[1] // 4)
            shown = clean[-1][:, :, -1:] if clean else none
            clean.append(core(torch.cat([given, x], 2), shown, sora.get("coring_threshold", 0)))
            context.add(clean[-1], again)
            given = given[:, :, :0]
    return torch.cat(clean, 2)


@torch.no_grad()
def decode(vae, latents):
    """Normalised latents (B, C, T, h, w) to frames (B, 1 + 4 (T - 1), 3, H, W) in 0..1."""
    with training.autocast(latents.device):
        raw = vae.denormalise(latents.transpose(1, 2))
        return torch.cat([vae.decode_video(r[None]) for r in raw]).float()
