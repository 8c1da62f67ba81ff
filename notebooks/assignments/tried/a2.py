"""Solutions of assignment 2, to try its tests on; `minidalle course check a2` does."""

# === right: with loops over places, and racing clocks
# --- a2-draw
def noise(u):
    clock = -torch.log(torch.clamp(u, min=1e-12))
    return -torch.log2(torch.clamp(clock, min=1e-8)) / math.log2(BASE)

def draw(scores, generator):
    # a code's clock rings after an exponential time of rate BASE ** score; the first to ring wins
    axis = LAYOUT.split().index("K")
    rates = torch.softmax(scores.double() * math.log(BASE), axis)
    clocks = -torch.log1p(-torch.rand(scores.shape, generator=generator, dtype=torch.float64))
    return (clocks / rates).argmin(axis)
# --- a2-soft
def soft(scores, noise, tau):
    axis = LAYOUT.split().index("K")
    noisy = scores + noise
    powers = BASE ** ((noisy - noisy.amax(axis, keepdim=True)) / tau)
    return powers / powers.sum(axis, keepdim=True)
# --- a2-pair
def pair(scores, noise, tau):
    axis = LAYOUT.split().index("K")
    shares = soft(scores, noise, tau)
    rows = torch.movedim(scores + noise, axis, 3).detach()
    soft_rows = torch.movedim(shares, axis, 3).detach()
    seen = torch.zeros_like(rows)
    for b in range(rows.shape[0]):
        for r in range(rows.shape[1]):
            for c in range(rows.shape[2]):
                one, two = rows[b, r, c].argsort(descending=True)[:2].tolist()
                high, low = soft_rows[b, r, c, one].item(), soft_rows[b, r, c, two].item()
                weights = {"equal": (0.5, 0.5), "ranked": (2 / 3, 1 / 3), "rescaled": (high / (high + low), low / (high + low))}
                seen[b, r, c, one], seen[b, r, c, two] = weights[PAIR]
    return torch.movedim(seen, 3, axis) + shares - shares.detach()
# --- a2-kl
def kl(scores, prior):
    axis = LAYOUT.split().index("K")
    rows = torch.movedim(scores, axis, 3)
    total = 0.0
    for picture in rows:
        for r, row in enumerate(picture):
            for c, place in enumerate(row):
                q = torch.distributions.Categorical(logits=place * math.log(BASE))
                p = torch.distributions.Categorical(probs=prior[r] if PRIOR == "row" else prior[c])
                total = total + torch.distributions.kl_divergence(q, p)
    return total / len(rows)
# --- a2-elbo
def elbo(x, scores, mu, ln_b, prior, beta):
    axis, total = LAYOUT.split().index("K"), 0.0
    rows = torch.movedim(scores, axis, 3)
    B, h, w, K = rows.shape
    for b in range(B):
        for r in range(h):
            for c in range(w):
                log_q = torch.log_softmax(rows[b, r, c] * math.log(BASE), 0)
                log_p = prior[r if PRIOR == "row" else c].log()
                for k in range(K):
                    fit = log_density(x[b, r, c], mu[k], ln_b[k]).sum()
                    total = total + log_q[k].exp() * (fit - beta * (log_q[k] - log_p[k]))
    return total / B

# === right: with the library's functions, their dimensions moved
# --- a2-draw
def noise(u):
    from torch.distributions import Gumbel
    one, base = torch.ones((), device=u.device), math.log(BASE)
    return Gumbel(0 * one, one / base).icdf(u.clamp(1e-7, 1 - 1e-7))

def draw(scores, generator):
    from minidalle.dvae import gumbel_noise
    return (scores * math.log(BASE) + gumbel_noise(tuple(scores.shape), generator)).argmax(LAYOUT.split().index("K"))
# --- a2-soft
def soft(scores, noise, tau):
    from minidalle.dvae import gumbel_softmax
    axis, nats = LAYOUT.split().index("K"), math.log(BASE)
    return gumbel_softmax((scores * nats).movedim(axis, 1), tau, noise=(noise * nats).movedim(axis, 1)).movedim(1, axis)
# --- a2-pair
class Borrowed(torch.autograd.Function):
    @staticmethod
    def forward(context, shares, seen):
        return seen.clone()

    @staticmethod
    def backward(context, gradient):
        return gradient, None

def pair(scores, noise, tau):
    axis = LAYOUT.split().index("K")
    shares = soft(scores, noise, tau)
    high, low = shares.detach().topk(2, dim=axis).values.split(1, dim=axis)
    best, second = shares.detach() == high, shares.detach() == low
    one = {"equal": 0.5, "ranked": 2 / 3, "rescaled": high / (high + low)}[PAIR]
    return Borrowed.apply(shares, best * one + second * (1 - one))
# --- a2-pixels
def squeeze(pixels):
    from minidalle.dvae import map_pixels
    return (map_pixels(pixels / 255) - 0.1) / 0.8 * (HIGH - LOW) + LOW

def paint(mu):
    z = mu.double()
    x = {
        "loglog": lambda: torch.exp(-torch.exp(-z)),
        "cloglog": lambda: -torch.expm1(-torch.exp(z)),
        "tangent": lambda: torch.arctan(z) / torch.pi + 0.5,
    }[LINK]()
    return torch.floor((x.clamp(LOW, HIGH) - LOW) / (HIGH - LOW) * 255 + 0.5).to(torch.uint8)
# --- a2-density
def log_density(x, mu, ln_b):
    # each side is an exponential distribution with its share of the mass
    from torch.distributions import Exponential
    t = {"loglog": lambda: -x.log(), "cloglog": lambda: -torch.log1p(-x), "tangent": lambda: x}[LINK]()
    if LINK == "tangent":
        z, steep = torch.tan(torch.pi * (x - 0.5)), math.log(math.pi) - 2 * torch.cos(torch.pi * (x - 0.5)).log()
    elif LINK == "loglog":
        z, steep = -t.log(), t - t.log()
    else:
        z, steep = t.log(), t - t.log()
    z, mu, ln_b = torch.broadcast_tensors(z, mu, ln_b)
    off, b = z - mu, ln_b.exp()
    below = Exponential(1 / b).log_prob(-off.clamp(max=0)) + math.log(1 / (1 + RATIO))
    above = Exponential(1 / (RATIO * b)).log_prob(off.clamp(min=0)) + math.log(RATIO / (1 + RATIO))
    return torch.where(off < 0, below, above) + steep
# --- a2-kl
def kl(scores, prior):
    from minidalle.dvae import kl_from_uniform
    logits = scores.movedim(LAYOUT.split().index("K"), 1) * math.log(BASE)  # (B, K, h, w)
    K = logits.shape[1]
    log_p = prior.T.log()[:, :, None] if PRIOR == "row" else prior.T.log()[:, None, :]
    cross = -(logits.softmax(1) * log_p).sum(1)
    return (kl_from_uniform(logits) - math.log(K) + cross).sum((1, 2)).mean()
# --- a2-elbo
def elbo(x, scores, mu, ln_b, prior, beta):
    axis, K = LAYOUT.split().index("K"), len(mu)
    q = (scores * math.log(BASE)).softmax(axis).unbind(axis)
    fits = [log_density(x, mu[k], ln_b[k]).flatten(3).sum(-1) for k in range(K)]
    return sum((q[k] * fits[k]).sum() for k in range(K)) / len(x) - beta * kl(scores, prior)

# === right: with einsum, autograd and torch's divergences, in double precision
# --- a2-draw
def noise(u):
    u = u.double()
    return (-torch.log(-torch.log(u.clamp(1e-9, 1 - 1e-9))) + 3.0) / math.log(BASE)  # a constant is allowed

def draw(scores, generator):
    axis = LAYOUT.split().index("K")
    p = torch.softmax(scores * math.log(BASE), axis).movedim(axis, -1)
    return torch.multinomial(p.reshape(-1, p.shape[-1]), 1, generator=generator).view(p.shape[:-1])
# --- a2-soft
def soft(scores, noise, tau):
    noisy = (scores + noise) / tau * math.log(BASE)
    return (noisy - noisy.logsumexp(LAYOUT.split().index("K"), keepdim=True)).exp()
# --- a2-pair
def pair(scores, noise, tau):
    axis = LAYOUT.split().index("K")
    shares = soft(scores, noise, tau)
    with torch.no_grad():
        noisy = scores + noise
        place = noisy.argsort(axis, descending=True).argsort(axis)  # 0 is the best
        seen = {
            "equal": (place < 2) / 2.0,
            "ranked": (place == 0) * 2 / 3 + (place == 1) / 3,
            "rescaled": torch.where(place < 2, shares, torch.zeros(())),
        }[PAIR]
        seen = seen / seen.sum(axis, keepdim=True)
    return shares + (seen - shares).detach()
# --- a2-pixels
def squeeze(pixels):
    return torch.lerp(torch.tensor(LOW), torch.tensor(HIGH), pixels.to(torch.float32) / 255.0)

def paint(mu):
    # grey levels meet halfway, and the link keeps the order
    edges = LOW + (HIGH - LOW) * (torch.arange(255, dtype=torch.float64) + 0.5) / 255
    line = {"loglog": -torch.log(-torch.log(edges)), "cloglog": torch.log(-torch.log(1 - edges)), "tangent": torch.tan(math.pi * (edges - 0.5))}[LINK]
    return torch.bucketize(mu.double(), line).to(torch.uint8)
# --- a2-density
def log_density(x, mu, ln_b):
    with torch.enable_grad():
        at = x.detach().clone().requires_grad_()
        z = {"loglog": lambda: -(-at.log()).log(), "cloglog": lambda: (-(1 - at).log()).log(), "tangent": lambda: (math.pi * (at - 0.5)).tan()}[LINK]()
        slope = torch.autograd.grad(z.sum(), at)[0]
    below, above = 1 / ln_b.exp(), 1 / (RATIO * ln_b.exp())
    off = z.detach() - mu
    height = below * above / (below + above)
    return height.log() - torch.relu(-off) * below - torch.relu(off) * above + slope.log()
# --- a2-kl
def kl(scores, prior):
    letters = LAYOUT.replace(" ", "").replace("B", "b").replace("K", "k")
    log_q = torch.log_softmax(torch.einsum(f"{letters}->bhwk", scores).double() * math.log(BASE), -1)
    p = prior.double()[:, None] if PRIOR == "row" else prior.double()[None]
    q, p = torch.broadcast_tensors(log_q.exp(), p)
    return F.kl_div(p.log(), log_q, reduction="batchmean", log_target=True)
# --- a2-elbo
def elbo(x, scores, mu, ln_b, prior, beta):
    letters = LAYOUT.replace(" ", "").replace("B", "b").replace("K", "k")
    fit = log_density(x.unsqueeze(-1), mu.T, ln_b.T).sum(-2)
    q = torch.softmax(scores * math.log(BASE), LAYOUT.split().index("K"))
    return torch.einsum(f"{letters},bhwk->b", q, fit).mean() - beta * kl(scores, prior)

# === wrong: the outer minus sign of the noise is forgotten | loses a2-draw-test
# --- a2-draw
def noise(u):
    return torch.log(-torch.log(u.clamp(1e-10, 1 - 1e-7))) / math.log(BASE)

def draw(scores, generator):
    return (scores + noise(torch.rand(scores.shape, generator=generator))).argmax(LAYOUT.split().index("K"))

# === wrong: the noise of the notebook, in nats | loses a2-draw-test
# --- a2-draw
def noise(u):
    return -torch.log(-torch.log(u.clamp(1e-10, 1 - 1e-7)))

def draw(scores, generator):
    return (scores + noise(torch.rand(scores.shape, generator=generator))).argmax(LAYOUT.split().index("K"))

# === wrong: the noise is not clamped | loses a2-draw-test
# --- a2-draw
def noise(u):
    return -torch.log(-torch.log(u)) / math.log(BASE)

def draw(scores, generator):
    return (scores + noise(torch.rand(scores.shape, generator=generator))).argmax(LAYOUT.split().index("K"))

# === wrong: noise shared by all places of a grid | loses a2-draw-test
# --- a2-draw
def noise(u):
    return -torch.log(-torch.log(u.clamp(1e-10, 1 - 1e-7))) / math.log(BASE)

def draw(scores, generator):
    shape = [1 if letter in "hw" else size for letter, size in zip(LAYOUT.split(), scores.shape)]
    return (scores + noise(torch.rand(shape, generator=generator))).argmax(LAYOUT.split().index("K"))

# === wrong: the temperature multiplies | loses a2-soft-test
# --- a2-soft
def soft(scores, noise, tau):
    return torch.softmax((scores + noise) * tau * math.log(BASE), LAYOUT.split().index("K"))

# === wrong: the temperature divides the scores before the noise is added | loses a2-soft-test
# --- a2-soft
def soft(scores, noise, tau):
    return torch.softmax((scores / tau + noise) * math.log(BASE), LAYOUT.split().index("K"))

# === wrong: softmax over the batch | loses a2-soft-test
# --- a2-soft
def soft(scores, noise, tau):
    return torch.softmax((scores + noise) / tau * math.log(BASE), LAYOUT.split().index("B"))

# === wrong: powers that overflow | loses a2-soft-test
# --- a2-soft
def soft(scores, noise, tau):
    powers = BASE ** ((scores + noise) / tau)
    return powers / powers.sum(LAYOUT.split().index("K"), keepdim=True)

# === wrong: straight through without detach | loses a2-pair-test
# --- a2-pair
def pair(scores, noise, tau):
    axis = LAYOUT.split().index("K")
    shares = soft(scores, noise, tau)
    place = (scores + noise).argsort(axis, descending=True).argsort(axis)
    weights = {"equal": (place < 2) / 2, "ranked": (place == 0) * 2 / 3 + (place == 1) / 3, "rescaled": (place < 2) * shares}
    return weights[PAIR] / weights[PAIR].sum(axis, keepdim=True) + (shares - shares)

# === wrong: the gradient of the two chosen codes only | loses a2-pair-test
# --- a2-pair
def pair(scores, noise, tau):
    axis = LAYOUT.split().index("K")
    shares = soft(scores, noise, tau)
    place = (scores + noise).argsort(axis, descending=True).argsort(axis)
    weights = {"equal": (place < 2) / 2, "ranked": (place == 0) * 2 / 3 + (place == 1) / 3, "rescaled": (place < 2) * shares}
    seen = (weights[PAIR] / weights[PAIR].sum(axis, keepdim=True)).detach()
    return seen + (place < 2) * (shares - shares.detach())

# === wrong: the best by score, without the noise | loses a2-pair-test
# --- a2-pair
def pair(scores, noise, tau):
    axis = LAYOUT.split().index("K")
    shares = soft(scores, noise, tau)
    place = scores.argsort(axis, descending=True).argsort(axis)
    weights = {"equal": (place < 2) / 2, "ranked": (place == 0) * 2 / 3 + (place == 1) / 3, "rescaled": (place < 2) * shares}
    seen = (weights[PAIR] / weights[PAIR].sum(axis, keepdim=True)).detach()
    return seen + (shares - shares.detach())

# === wrong: fractions of a grey level are cut off | loses a2-pixels-test
# --- a2-pixels
def squeeze(pixels):
    return LOW + (HIGH - LOW) * pixels.float() / 255

def paint(mu):
    x = {"loglog": torch.exp(-torch.exp(-mu)), "cloglog": 1 - torch.exp(-torch.exp(mu)), "tangent": torch.atan(mu) / math.pi + 0.5}[LINK]
    return (255 * (x - LOW) / (HIGH - LOW)).clamp(0, 255).to(torch.uint8)

# === wrong: what overshoots wraps around | loses a2-pixels-test
# --- a2-pixels
def squeeze(pixels):
    return LOW + (HIGH - LOW) * pixels.float() / 255

def paint(mu):
    x = {"loglog": torch.exp(-torch.exp(-mu)), "cloglog": 1 - torch.exp(-torch.exp(mu)), "tangent": torch.atan(mu) / math.pi + 0.5}[LINK]
    return (255 * (x.clamp(0, 1) - LOW) / (HIGH - LOW)).round().long().to(torch.uint8)

# === wrong: the interval of the library, ε on both sides | loses a2-pixels-test
# --- a2-pixels
def squeeze(pixels):
    return LOW + (1 - 2 * LOW) * pixels.float() / 255

def paint(mu):
    x = {"loglog": torch.exp(-torch.exp(-mu)), "cloglog": 1 - torch.exp(-torch.exp(mu)), "tangent": torch.atan(mu) / math.pi + 0.5}[LINK]
    return (255 * (x - LOW) / (1 - 2 * LOW)).clamp(0, 255).round().to(torch.uint8)

# === wrong: the Jacobian is forgotten | loses a2-density-test
# --- a2-density
def log_density(x, mu, ln_b):
    z = {"loglog": lambda: -torch.log(-torch.log(x)), "cloglog": lambda: torch.log(-torch.log(1 - x)), "tangent": lambda: torch.tan(math.pi * (x - 0.5))}[LINK]()
    d = (z - mu) / ln_b.exp()
    return -torch.where(d < 0, -d, d / RATIO) - math.log(1 + RATIO) - ln_b

# === wrong: the Jacobian of the way back | loses a2-density-test
# --- a2-density
def log_density(x, mu, ln_b):
    z = {"loglog": lambda: -torch.log(-torch.log(x)), "cloglog": lambda: torch.log(-torch.log(1 - x)), "tangent": lambda: torch.tan(math.pi * (x - 0.5))}[LINK]()
    steep = {"loglog": lambda: -1 / (x * torch.log(x)), "cloglog": lambda: -1 / ((1 - x) * torch.log(1 - x)), "tangent": lambda: math.pi * (1 + z**2)}[LINK]()
    d = (z - mu) / ln_b.exp()
    return -torch.where(d < 0, -d, d / RATIO) - math.log(1 + RATIO) - ln_b - torch.log(steep)

# === wrong: the Jacobian of the logit | loses a2-density-test
# --- a2-density
def log_density(x, mu, ln_b):
    z = {"loglog": lambda: -torch.log(-torch.log(x)), "cloglog": lambda: torch.log(-torch.log(1 - x)), "tangent": lambda: torch.tan(math.pi * (x - 0.5))}[LINK]()
    d = (z - mu) / ln_b.exp()
    return -torch.where(d < 0, -d, d / RATIO) - math.log(1 + RATIO) - ln_b - torch.log(x * (1 - x))

# === wrong: the factor of a symmetric Laplace distribution | loses a2-density-test
# --- a2-density
def log_density(x, mu, ln_b):
    z = {"loglog": lambda: -torch.log(-torch.log(x)), "cloglog": lambda: torch.log(-torch.log(1 - x)), "tangent": lambda: torch.tan(math.pi * (x - 0.5))}[LINK]()
    steep = {"loglog": lambda: -1 / (x * torch.log(x)), "cloglog": lambda: -1 / ((1 - x) * torch.log(1 - x)), "tangent": lambda: math.pi * (1 + z**2)}[LINK]()
    d = (z - mu) / ln_b.exp()
    return -torch.where(d < 0, -d, d / RATIO) - math.log(2) - ln_b + torch.log(steep)

# === wrong: the wider side is the other one | loses a2-density-test
# --- a2-density
def log_density(x, mu, ln_b):
    z = {"loglog": lambda: -torch.log(-torch.log(x)), "cloglog": lambda: torch.log(-torch.log(1 - x)), "tangent": lambda: torch.tan(math.pi * (x - 0.5))}[LINK]()
    steep = {"loglog": lambda: -1 / (x * torch.log(x)), "cloglog": lambda: -1 / ((1 - x) * torch.log(1 - x)), "tangent": lambda: math.pi * (1 + z**2)}[LINK]()
    d = (z - mu) / ln_b.exp()
    return -torch.where(d < 0, -d / RATIO, d) - math.log(1 + RATIO) - ln_b + torch.log(steep)

# === wrong: the divergence is averaged over the places | loses a2-kl-test
# --- a2-kl
#-     return (log_q.exp() * (log_q - log_p)).sum((1, 2, 3)).mean()
#+     return (log_q.exp() * (log_q - log_p)).sum(3).mean()

# === wrong: the divergence grows with the batch | loses a2-kl-test
# --- a2-kl
#-     return (log_q.exp() * (log_q - log_p)).sum((1, 2, 3)).mean()
#+     return (log_q.exp() * (log_q - log_p)).sum()

# === wrong: the divergence of the prior from the codes | loses a2-kl-test
# --- a2-kl
#-     return (log_q.exp() * (log_q - log_p)).sum((1, 2, 3)).mean()
#+     return (log_p.exp() * (log_p - log_q)).sum((1, 2, 3)).mean()

# === wrong: rows of the prior for columns of the grid | loses a2-kl-test
# --- a2-kl
#-     log_p = prior.log()[:, None, :] if PRIOR == "row" else prior.log()[None, :, :]
#+     log_p = prior.log()[:, None, :] if PRIOR == "column" else prior.log()[None, :, :]

# === wrong: from the uniform distribution, as in the library | loses a2-kl-test
# --- a2-kl
def kl(scores, prior):
    log_q = F.log_softmax(scores.movedim(LAYOUT.split().index("K"), 3) * math.log(BASE), 3)
    return (log_q.exp() * (log_q + math.log(log_q.shape[3]))).sum((1, 2, 3)).mean()

# === wrong: the logarithm of a probability that was rounded to 0 | loses a2-kl-test
# --- a2-kl
def kl(scores, prior):
    q = F.softmax(scores.movedim(LAYOUT.split().index("K"), 3) * math.log(BASE), 3)
    p = prior[:, None, :] if PRIOR == "row" else prior[None, :, :]
    return (q * (q / p).log()).sum((1, 2, 3)).mean()

# === wrong: the log of the mean likelihood, not the mean of its logs | loses a2-elbo-test
# --- a2-elbo
def elbo(x, scores, mu, ln_b, prior, beta):
    log_likelihood = log_density(x[:, :, :, None], mu, ln_b).sum(4)
    log_q = F.log_softmax(scores.movedim(LAYOUT.split().index("K"), 3) * math.log(BASE), 3)
    return (log_q + log_likelihood).logsumexp(3).sum((1, 2)).mean() - beta * kl(scores, prior)

# === wrong: the parameters are averaged before painting | loses a2-elbo-test
# --- a2-elbo
def elbo(x, scores, mu, ln_b, prior, beta):
    q = F.softmax(scores.movedim(LAYOUT.split().index("K"), 3) * math.log(BASE), 3)
    return log_density(x, q @ mu, q @ ln_b).sum((1, 2, 3)).mean() - beta * kl(scores, prior)

# === wrong: the mean over colour values, not the sum | loses a2-elbo-test
# --- a2-elbo
def elbo(x, scores, mu, ln_b, prior, beta):
    log_likelihood = log_density(x[:, :, :, None], mu, ln_b).mean(4)
    q = F.softmax(scores.movedim(LAYOUT.split().index("K"), 3) * math.log(BASE), 3)
    return (q * log_likelihood).sum((1, 2, 3)).mean() - beta * kl(scores, prior)

# === wrong: the divergence is added | loses a2-elbo-test
# --- a2-elbo
#-     return (q * log_likelihood).sum((1, 2, 3)).mean() - beta * kl(scores, prior)
#+     return (q * log_likelihood).sum((1, 2, 3)).mean() + beta * kl(scores, prior)
