"""Both priors and the decoder: what they may see, and what they must not."""

import pytest
import torch
from toys import difference

from minidalle.clip import CLIP
from minidalle.config import CLIPConfig
from minidalle.dalle2 import ar_prior, decoder, diffusion, meaning, prior
from minidalle.dalle2.ar_prior import ARPrior
from minidalle.dalle2.config import (
    ARPriorConfig,
    DecoderConfig,
    PriorConfig,
    TextConfig,
    UNetConfig,
)
from minidalle.dalle2.decoder import Decoder
from minidalle.dalle2.prior import Prior

B, T, E, V = 3, 6, 8, 20  # V: the first pad
TEXT = torch.tensor([[1, 2, 3, 20, 21, 22], [4, 5, 6, 7, 8, 9], [1, 20, 21, 22, 23, 24]])
UNET = UNetConfig(8, 0, 1, (8, 16), 1, (4,), 8, 4, context=12)


def generators(n, seed=0):
    return [torch.Generator().manual_seed(seed + i) for i in range(n)]


@pytest.fixture(scope="module")
def clip():
    torch.manual_seed(0)
    return CLIP(CLIPConfig(E, 8, 4, 16, 1, 2, V + 7, T, 16, 1, 2, end=V)).requires_grad_(False)


@pytest.fixture(scope="module")
def said(clip):
    return meaning.read(clip, TEXT)


@pytest.fixture(scope="module")
def models():
    torch.manual_seed(1)
    text = TextConfig(V + 7, V, T, 16, 1, 2)
    return {
        "prior": Prior(PriorConfig(E, 16, T, 16, 2, 2, times=50)),
        "ar": ARPrior(ARPriorConfig(E, 16, T, 4, 32, 16, 2, 2)),
        "decoder": shaken(Decoder(DecoderConfig(UNET, text, E, tokens=2, times=50)), 0.1),
    }


def shaken(model, std=0.3):
    """The model with other values where it begins with zeros."""
    for parameter in model.parameters():
        if parameter.abs().max() == 0:
            torch.nn.init.normal_(parameter, std=std)
    return model


# ---- CLIP's view ------------------------------------------------------------------------


def test_a_caption_as_clip_understands_it(clip, said):
    wanted = torch.nn.functional.normalize(clip.encode_text(TEXT), dim=-1)
    assert torch.allclose(said.meaning, wanted)
    assert said.inside.sum(1).tolist() == [4, 6, 2]  # with the pad that ends it


def test_whitening_and_back():
    torch.manual_seed(0)
    embeddings = torch.nn.functional.normalize(
        torch.randn(500, E) * torch.arange(1, E + 1) + 3, dim=-1
    )
    whiten = meaning.Whitening(E)
    whiten.fit(embeddings)
    white = whiten(embeddings)
    assert torch.allclose(white.mean(0), torch.zeros(E), atol=1e-5)
    assert torch.allclose(white.T.cov(), torch.eye(E), atol=1e-4)
    assert torch.allclose(whiten.back(white), embeddings, atol=1e-6)


def test_whitening_does_not_enlarge_rounding():
    """Embeddings of which one direction is constant."""
    torch.manual_seed(0)
    turn = torch.linalg.qr(torch.randn(E, E)).Q
    flat = torch.randn(500, E) * (torch.arange(E) < E - 1) @ turn
    whiten = meaning.Whitening(E)
    whiten.fit(flat)
    assert whiten(flat).std(0)[-1] < 1e-3 and whiten(flat).std(0)[:-1].min() > 0.99


# ---- the diffusion prior ----------------------------------------------------------------


@torch.no_grad()
def test_what_comes_after_a_caption_is_not_seen(models, said):
    changed = said._replace(states=torch.where(said.inside[..., None], said.states, 9.0))
    x, t, yes = torch.randn(B, E), torch.tensor([1, 20, 40]), torch.ones(B, dtype=torch.bool)
    model = models["prior"]
    assert torch.equal(model.predict(x, t, said, yes), model.predict(x, t, changed, yes))
    fits, codes = torch.zeros(B), torch.zeros(B, 2, dtype=torch.long)
    model = models["ar"]
    assert torch.equal(
        model.logits(said, yes, fits, codes), model.logits(changed, yes, fits, codes)
    )


@torch.no_grad()
def test_a_hidden_caption_is_not_seen_but_the_noisy_embedding_is(models, said):
    """DALLE2-pytorch hides the noisy embedding too, so its guidance compares with nothing."""
    model, t, no = models["prior"], torch.tensor([1, 20, 40]), torch.zeros(B, dtype=torch.bool)
    x, other = torch.randn(2, B, E)
    rolled = meaning.Said(*(part.roll(1, 0) for part in said))
    assert torch.equal(model.predict(x, t, said, no), model.predict(x, t, rolled, no))
    assert not torch.allclose(model.predict(x, t, said, no), model.predict(other, t, said, no))
    assert not torch.allclose(model.predict(x, t, said, ~no), model.predict(x, t, rolled, ~no))


@torch.no_grad()
def test_the_loss_is_that_of_the_clean_embedding(models, said):
    model, yes = models["prior"], torch.ones(B, dtype=torch.bool)
    image, eps = torch.nn.functional.normalize(torch.randn(B, E), dim=-1), torch.randn(B, E)
    t = torch.tensor([0, 10, 49])
    loss, parts = model(*said, image, eps, t, yes)
    x = diffusion.q_sample(model.whiten(image), eps, model.alpha_bars[t][:, None])
    predicted = model.predict(x, t, said, yes)
    assert loss == pytest.approx((predicted - model.whiten(image)).square().mean().item())
    assert -1 <= parts["cosine"] <= 1


@torch.no_grad()
def test_the_nearer_of_two_draws_is_kept_and_each_caption_draws_alone(models, said):
    model = models["prior"]
    one = prior.draw_embeddings(model, said, generators(B), 5, 2.0, draws=1, eta=0.0)
    two = prior.draw_embeddings(model, said, generators(B), 5, 2.0, draws=2, eta=0.0)
    gained = ((two - one) * said.meaning).sum(-1)  # the first of two draws is the one
    assert gained.min() > -1e-5 and gained.max() > 1e-4
    assert torch.allclose(two.norm(dim=-1), torch.ones(B))
    alone = meaning.Said(*(part[1:2] for part in said))
    last = prior.draw_embeddings(model, alone, generators(1, seed=1), 5, 2.0, eta=0.0)
    assert torch.allclose(last, two[1:2], atol=1e-5)


@torch.no_grad()
def test_each_time_holds_the_noise_of_that_time(models, said, monkeypatch):
    """If the picture's embedding is known, a drawing with η = 0 must never change its noise."""
    model, truth, noises = models["prior"], torch.linspace(-1, 1, E), []

    def predict(x, t, *told):
        a, b = diffusion.roots(model.alpha_bars[t][:, None])
        noises.append((x - a * truth) / b)
        return truth.expand_as(x)

    monkeypatch.setattr(model, "predict", predict)
    found = prior.draw_embeddings(model, said, generators(B), 7, draws=1, eta=0.0)
    assert torch.allclose(found, model.whiten.back(truth).expand_as(found))
    assert len(noises) == 7
    for noise in noises[1:]:
        assert torch.allclose(noise, noises[0], atol=1e-4)


# ---- the autoregressive prior -----------------------------------------------------------


def test_embeddings_as_codes():
    torch.manual_seed(0)
    flat = torch.randn(2000, 4) @ torch.diag(torch.tensor([1.0, 0.6, 0.3, 0.2]))
    images = torch.nn.functional.normalize(torch.cat([flat, torch.full((2000, 4), 2.0)], 1), dim=-1)
    model = ARPrior(ARPriorConfig(E, 16, T, 5, 256, 16, 1, 2))
    states, inside = torch.randn(2000, 5, 16), torch.ones(2000, 5, dtype=torch.bool)
    model.fit(images, meaning.Said(states, inside, images))
    codes = model.encode(images)
    assert codes.shape == (2000, 5) and codes.min() >= 0 and codes.max() < 256
    cosines = (model.decode(codes) * images).sum(-1)
    assert cosines.mean() > 0.9999 and cosines.min() > 0.99  # a few lie beyond the last bucket
    assert model.std.diff().max() < 0  # the first component varies most


@torch.no_grad()
def test_a_code_is_predicted_from_those_before_it(models, said):
    model, yes, fits = models["ar"], torch.ones(B, dtype=torch.bool), torch.zeros(B)
    codes = torch.tensor([[1, 2, 3]] * B)
    before, changed = model.logits(said, yes, fits, codes), codes.clone()
    changed[:, 1] += 5
    after = model.logits(said, yes, fits, changed)
    assert before.shape == (B, 4, 32)
    assert torch.equal(after[:, :2], before[:, :2])
    assert not torch.allclose(after[:, 2], before[:, 2])


@torch.no_grad()
def test_the_loss_is_the_mean_negative_log_likelihood(models, said):
    model, yes = models["ar"], torch.ones(B, dtype=torch.bool)
    image = torch.nn.functional.normalize(torch.randn(B, E), dim=-1)
    codes, fits = model.encode(image), (image * said.meaning).sum(-1)
    each = []
    for n in range(4):
        chances = model.logits(said, yes, fits, codes[:, :n])[:, -1].log_softmax(-1)
        each.append(chances.gather(1, codes[:, n : n + 1]))
    assert model(*said, image, yes)[0] == pytest.approx(-torch.cat(each).mean().item(), rel=1e-5)
    drawn = ar_prior.draw_embeddings(model, said, generators(B), 2.0)
    assert torch.allclose(drawn, ar_prior.draw_embeddings(model, said, generators(B), 2.0))


# ---- the decoder ------------------------------------------------------------------------


@torch.no_grad()
def test_the_decoder_sees_embedding_and_caption_unless_they_are_hidden(models):
    model, yes = models["decoder"], torch.ones(2, dtype=torch.bool)
    embedding, text = torch.randn(2, E), TEXT[:2]
    other = TEXT[:2].clone()
    other[:, 1] += 1
    same = TEXT[:2].clone()
    same[0, 5] = 20  # what comes after the caption's end

    def told(embedding, text, *known):
        return torch.cat([part.flatten(1) for part in model.told(embedding, text, *known)], 1)

    before = told(embedding, text, yes, yes)
    assert torch.equal(before, told(embedding, same, yes, yes))
    assert not torch.allclose(before, told(embedding, other, yes, yes))
    assert not torch.allclose(before, told(-embedding, text, yes, yes))
    hidden = told(embedding, text, ~yes, ~yes)
    assert torch.equal(hidden, told(-embedding, other, ~yes, ~yes))


@torch.no_grad()
def test_the_same_generator_draws_the_same_picture(models):
    embedding = torch.randn(2, E)
    for how in ({"guidance": 1.0}, {"guidance": 3.0, "eta": 1.0}):
        both = decoder.decode(models["decoder"], embedding, TEXT[:2], generators(2), 4, **how)
        one = decoder.decode(
            models["decoder"], embedding[1:], TEXT[1:2], generators(1, 1), 4, **how
        )
        assert both.shape == (2, 3, 8, 8) and both.min() >= 0 and both.max() <= 1
        assert torch.allclose(both[1:], one, atol=1e-4)


def test_published_sizes():
    """The paper's table 3 gives 1 B for each prior and 3.5 B for the decoder."""
    with torch.device("meta"):
        models = Prior(PriorConfig()), ARPrior(ARPriorConfig()), Decoder(DecoderConfig())
    billions = [sum(p.numel() for p in model.parameters()) / 1e9 for model in models]
    assert billions == [
        pytest.approx(1, rel=0.3),
        pytest.approx(1, rel=0.3),
        pytest.approx(3.5, rel=0.03),
    ]


# ---- another implementation -------------------------------------------------------------


def test_the_prior_of_diffusers(evidence):
    """With the same random weights; its zeros are shaken, and its causal mask is asked for."""
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(2)
    theirs = shaken(diffusers.PriorTransformer(2, 8, 2, embedding_dim=E, num_embeddings=T))
    theirs.requires_grad_(False)
    ours, own = Prior(PriorConfig(E, E, T, 16, 2, 2)), theirs.state_dict()
    found = {"position": own["positional_embedding"][0], "query": own["prd_embedding"][0, 0]}
    names = {
        "states": "encoder_hidden_states_proj", "meaning": "embedding_proj", "noisy": "proj_in",
        "time.0": "time_embedding.linear_1", "time.2": "time_embedding.linear_2",
        "norm": "norm_out", "out": "proj_to_clip_embeddings",
    }  # fmt: skip
    for i in (0, 1):
        block = f"transformer_blocks.{i}"
        names |= {
            f"blocks.{i}.norm_1": f"{block}.norm1", f"blocks.{i}.norm_2": f"{block}.norm3",
            f"blocks.{i}.out": f"{block}.attn1.to_out.0",
            f"blocks.{i}.up": f"{block}.ff.net.0.proj",
            f"blocks.{i}.down": f"{block}.ff.net.2",
        }  # fmt: skip
        for kind in ("weight", "bias"):
            qkv = [own[f"{block}.attn1.to_{x}.{kind}"] for x in "qkv"]
            found[f"blocks.{i}.qkv.{kind}"] = torch.cat(qkv)
    for mine, other in names.items():
        found |= {f"{mine}.{kind}": own[f"{other}.{kind}"] for kind in ("weight", "bias")}
    missing, unexpected = ours.load_state_dict(found, strict=False)
    assert not unexpected and set(missing) == {
        "no_token",
        "no_meaning",
        "whiten.mean",
        "whiten.axes",
        "whiten.std",
        "whiten_states.mean",
        "whiten_states.axes",
        "whiten_states.std",
        "whiten_meaning.mean",
        "whiten_meaning.axes",
        "whiten_meaning.std",
    }
    states, meanings, x = torch.randn(B, T, E), torch.randn(B, E), torch.randn(B, E)
    t, inside = torch.tensor([0, 500, 999]), torch.ones(B, T, dtype=torch.bool)
    known = torch.ones(B, dtype=torch.bool)
    mine = ours.predict(x, t, meaning.Said(states, inside, meanings), known)
    other = theirs(x, t, meanings, states, inside).predicted_image_embedding
    worst = difference(mine, other)
    assert worst < 1e-5 and mine.std() > 0.1
    evidence("diffusion prior", "diffusers 0.42.1, PriorTransformer", B, worst)
