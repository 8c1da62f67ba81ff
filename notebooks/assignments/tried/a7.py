"""Solutions of assignment 7, to try its tests on; `minidalle course check a7` does."""

# === right: with loops and math
# --- a7-schedule
def alpha_bars(T):
    def f(s):
        if CURVE == "root":
            return 1 - math.sqrt((s + 0.01) / 1.01)
        if CURVE == "sigmoid":
            return 1 / (1 + math.exp(6 * s - 3)) - 1 / (1 + math.exp(3))
        if CURVE == "tangent":
            return 1 / (1 + 2.25 * math.tan(math.pi / 2 * (s + 0.05) / 1.05) ** 2)
        if CURVE == "power":
            return (1 - ((s + 0.05) / 1.05) ** 1.5) ** 2
        return math.exp(-4 * s**2) - math.exp(-4)
    bars = [1.0]
    for t in range(1, T + 1):
        beta = 1 - f(t / T) / f((t - 1) / T)
        bars.append(bars[-1] * (1 - min(beta, LIMIT)))
    return torch.tensor(bars, dtype=torch.float64)
# --- a7-believe
def believe(x, alpha_bar, data, widths, weights):
    means, counts = [], []
    for row in x.tolist():
        logs, guesses = [], []
        for picture, width, weight in zip(data.tolist(), widths.tolist(), weights.tolist()):
            variance = alpha_bar * width**2 + 1 - alpha_bar
            log = math.log(weight)
            for value, number in zip(row, picture):
                log -= (value - alpha_bar**0.5 * number) ** 2 / (2 * variance) + math.log(variance) / 2
            logs.append(log)
            pull = alpha_bar**0.5 * width**2 / variance
            guesses.append([number + pull * (value - alpha_bar**0.5 * number) for value, number in zip(row, picture)])
        odds = [math.exp(log - max(logs)) for log in logs]
        p = [value / sum(odds) for value in odds]
        means.append([sum(share * guess[d] for share, guess in zip(p, guesses)) for d in range(len(row))])
        if COUNT == "entropy":
            counts.append(math.prod(share**-share for share in p if share > 0))
        else:
            counts.append(1 / sum(share**2 for share in p) if COUNT == "collisions" else 1 / max(p))
    return torch.tensor(means, dtype=torch.float64), torch.tensor(counts, dtype=torch.float64)
# --- a7-step
def step(x, u, alpha_bar, to, kappa, noise):
    x0, eps = split(u, x, alpha_bar)
    all_of_it = math.sqrt(1 - to)
    if FRESH == "kept":
        old = (1 - kappa) * all_of_it
        fresh = math.sqrt(max(0, 1 - to - old**2))
    else:
        fresh = {"variance": math.sqrt(kappa), "deviation": kappa, "angle": math.sin(math.radians(90 * kappa))}[FRESH] * all_of_it
        old = math.sqrt(max(0, 1 - to - fresh**2))
    return math.sqrt(to) * x0 + old * eps + (0 if noise is None else fresh * noise)
# --- a7-guide
def guide(network, x, alpha_bar, caption, guidance):
    if WHEN == "middle":
        g = guidance if 0.1 <= alpha_bar <= 0.9 else 1
    else:
        g = 1 + (guidance - 1) * {"fading": 1 - alpha_bar, "growing": alpha_bar, "hill": 4 * alpha_bar * (1 - alpha_bar)}[WHEN]
    rows = []
    for c, h in zip(*(split(network(x, alpha_bar, words), x, alpha_bar)[1] for words in (caption, None))):
        add = (g - 1) * (c - h)
        if HOW == "length":
            rows.append((c + add) / (c + add).norm() * c.norm())
        elif HOW == "across":
            rows.append(c + add - torch.dot(add, c) / torch.dot(c, c) * c)
        else:
            rows.append(c + (add if add.norm() <= c.norm() / 2 else add / add.norm() * c.norm() / 2))
    return torch.stack(rows)

# === right: with the functions of the library
# --- a7-split
from minidalle.dalle2 import diffusion
def weights(alpha_bar):
    a, b = diffusion.roots(alpha_bar)
    root = (4 - 3 * alpha_bar) ** 0.5
    angle = math.radians(40)
    return {
        "angle": (math.cos(angle), math.sin(angle)), "scaled": (a / root, 4 * b / root),
        "shares": (alpha_bar, 1 - alpha_bar), "flow": (1, 2),
    }[PREDICTION]
def target(x0, eps, alpha_bar):
    p, q = weights(alpha_bar)
    return p * eps - q * x0
def split(u, x, alpha_bar):
    a, b = diffusion.roots(alpha_bar)
    p, q = weights(alpha_bar)
    # u = r v + s x, with v orthogonal to x
    r, s = a * p + b * q, b * p - a * q
    v = (u - s * x) / r
    return diffusion.to_x0("v", v, x, alpha_bar), diffusion.to_eps("v", v, x, alpha_bar)
# --- a7-believe
def believe(x, alpha_bar, data, widths, weights):
    a, D = alpha_bar**0.5, x.shape[1]
    x = x.clone().requires_grad_()
    deviations = (alpha_bar * widths**2 + 1 - alpha_bar).sqrt()[:, None].expand_as(data)
    component = torch.distributions.Independent(torch.distributions.Normal(a * data, deviations), 1)
    logs = component.log_prob(x[:, None]) + weights.log()
    (score,) = torch.autograd.grad(logs.logsumexp(-1).sum(), x)
    which = torch.distributions.Categorical(logits=logs.detach())
    if COUNT == "entropy":
        count = which.entropy().exp()
    else:
        count = 1 / which.probs.square().sum(-1) if COUNT == "collisions" else 1 / which.probs.max(-1).values
    if alpha_bar == 0:
        return which.probs @ data, count
    return (x.detach() + (1 - alpha_bar) * score) / a, count
# --- a7-step
def step(x, u, alpha_bar, to, kappa, noise):
    x0, eps = split(u, x, alpha_bar)
    if kappa:
        share = {"variance": kappa, "deviation": kappa**2, "kept": 1 - (1 - kappa) ** 2, "angle": math.sin(math.pi / 2 * kappa) ** 2}[FRESH]
        eps = diffusion.q_sample(noise, eps, share)
    return diffusion.q_sample(x0, eps, to)
# --- a7-draw
def draw(network, x, bars, times):
    def sees(x, alpha_bar):
        return split(network(x, alpha_bar), x, alpha_bar)[1]
    shares = bars[times].tolist()
    for alpha_bar, to in zip(shares, shares[1:]):
        s, r = ((1 / share - 1) ** 0.5 for share in (alpha_bar, to))
        between = {"heun": r, "midpoint": (s + r) / 2, "ralston": s / 3 + 2 * r / 3, "geometric": (s * r) ** 0.5}[ORDER]
        middle = 1 / (1 + between**2)
        first = sees(x, alpha_bar)
        second = sees(diffusion.ddim_step(x, first, alpha_bar, middle), middle)
        both = {"heun": (first + second) / 2, "ralston": first / 4 + 3 * second / 4}.get(ORDER, second)
        x = diffusion.ddim_step(x, both, alpha_bar, to)
    return diffusion.ddim_step(x, sees(x, shares[-1]), shares[-1], 1.0)
# --- a7-guide
def guide(network, x, alpha_bar, caption, guidance):
    eps = [diffusion.to_eps("x0", split(network(x, alpha_bar, c), x, alpha_bar)[0], x, alpha_bar) for c in (caption, None)]
    g = {
        "middle": guidance if 0.1 <= alpha_bar <= 0.9 else 1, "fading": guidance - (guidance - 1) * alpha_bar,
        "growing": 1 + (guidance - 1) * alpha_bar, "hill": 1 + 4 * alpha_bar * (1 - alpha_bar) * (guidance - 1),
    }[WHEN]
    plain, norm = diffusion.guided(*eps, g), torch.linalg.vector_norm
    if HOW == "length":
        return torch.nn.functional.normalize(plain, dim=1) * norm(eps[0], dim=1, keepdim=True)
    unit = torch.nn.functional.normalize(eps[0], dim=1)
    add = plain - eps[0]
    if HOW == "across":
        return eps[0] + add - (add * unit).sum(1, keepdim=True) * unit
    most = norm(eps[0], dim=1, keepdim=True) / 2
    long = norm(add, dim=1, keepdim=True)
    return eps[0] + torch.where(long > most, add * most / long, add)
# --- a7-invert
def invert(network, x, bars, times):
    to = 1.0
    for alpha_bar in reversed(bars[times].tolist()):
        guess = x
        for _ in range(60):
            x0, eps = split(network(guess, alpha_bar), guess, alpha_bar)
            if PATH == "line":
                guess = guess + (alpha_bar / to) ** 0.5 * (x - diffusion.ddim_step(guess, eps, alpha_bar, to))
            else:
                turn = math.acos(to**0.5) - math.acos(alpha_bar**0.5)
                guess = x - turn * diffusion.target("v", x0, eps, alpha_bar)
        x, to = guess, alpha_bar
    return x

# === right: by other formulas
# --- a7-schedule
def alpha_bars(T):
    s = torch.linspace(0, 1, T + 1, dtype=torch.float64)
    if CURVE == "root":
        f = 1 - torch.sqrt((s + 0.01) / 1.01)
    elif CURVE == "sigmoid":
        f = torch.sigmoid(3 - 6 * s) - torch.sigmoid(torch.tensor(-3.0, dtype=torch.float64))
    elif CURVE == "tangent":
        angle = math.pi / 2 * (s + 0.05) / 1.05
        f = angle.cos() ** 2 / (angle.cos() ** 2 + 2.25 * angle.sin() ** 2)
    elif CURVE == "power":
        f = (1 - ((s + 0.05) / 1.05).pow(1.5)).square()
    else:
        f = torch.exp(-4.0 * s.square()) - math.exp(-4)
    steps = f.clamp(min=1e-300).log().diff().clamp(min=math.log(1 - LIMIT))
    return torch.nn.functional.pad(steps.cumsum(0), (1, 0)).exp()
# --- a7-split
def matrix(alpha_bar):
    a, b = math.sqrt(alpha_bar), math.sqrt(1 - alpha_bar)
    p, q = {
        "angle": (math.cos(math.pi * 2 / 9), math.sin(math.pi * 2 / 9)),
        "scaled": (a / math.sqrt(4 - 3 * alpha_bar), 4 * b / math.sqrt(4 - 3 * alpha_bar)),
        "shares": (alpha_bar, 1 - alpha_bar),
        "flow": (1.0, 2.0),
    }[PREDICTION]
    return torch.tensor([[a, b], [-q, p]], dtype=torch.float64)
def target(x0, eps, alpha_bar):
    return torch.einsum("i,ibd->bd", matrix(alpha_bar)[1], torch.stack([x0, eps]))
def split(u, x, alpha_bar):
    return torch.einsum("ij,jbd->ibd", torch.linalg.inv(matrix(alpha_bar)), torch.stack([x, u])).unbind()
# --- a7-draw
def draw(network, x, bars, times):
    s = math.sqrt(1 / float(bars[times[0]]) - 1)
    u = network(x, float(bars[times[0]]))
    x0, eps = split(u, x, float(bars[times[0]]))
    if len(times) == 1:
        return x0
    r = math.sqrt(1 / float(bars[times[1]]) - 1)
    at = {"heun": r, "midpoint": (s + r) / 2, "ralston": (s + 2 * r) / 3, "geometric": math.sqrt(s * r)}[ORDER]
    there = (x0 + at * eps) / math.sqrt(1 + at**2)
    second = split(network(there, 1 / (1 + at**2)), there, 1 / (1 + at**2))[1]
    share = {"heun": 0.5, "ralston": 0.75}.get(ORDER, 1.0)
    z = x0 + s * eps + (r - s) * torch.lerp(eps, second, share)
    return draw(network, z / math.sqrt(1 + r * r), bars, times[1:])
# --- a7-invert
def invert(network, x, bars, times):
    ends = [0, *reversed(times)]
    for to, t in zip(ends, ends[1:]):
        here, there = float(bars[t]), float(bars[to])
        def forward(y):
            x0, eps = split(network(y, here), y, here)
            if PATH == "line":
                return math.sqrt(there) * x0 + math.sqrt(1 - there) * eps
            turn = math.acos(math.sqrt(there)) - math.acos(math.sqrt(here))
            return y + turn * (math.sqrt(here) * eps - math.sqrt(1 - here) * x0)
        y = x.clone()
        for _ in range(7):  # Newton's method
            slope = torch.autograd.functional.jacobian(forward, y).reshape(y.numel(), y.numel())
            y = y - torch.linalg.solve(slope, (forward(y) - x).flatten()).view_as(y)
        x = y
    return x

# === wrong: ᾱ is the curve itself | loses a7-schedule-test
# --- a7-schedule
#-     return torch.cat([torch.ones(1, dtype=torch.float64), (1 - beta).cumprod(0)])
#+     return torch.cat([f[:1] * 0 + 1, f[1:-1], f[-2:-1] * (1 - beta[-1])])

# === wrong: the product starts one time too late | loses a7-schedule-test
# --- a7-schedule
#-     return torch.cat([torch.ones(1, dtype=torch.float64), (1 - beta).cumprod(0)])
#+     return torch.cat([torch.ones(2, dtype=torch.float64), (1 - beta)[1:].cumprod(0)])

# === wrong: time 0 is the first noisy one, as in the library | loses a7-schedule-test
# --- a7-schedule
#-     return torch.cat([torch.ones(1, dtype=torch.float64), (1 - beta).cumprod(0)])
#+     return (1 - beta).cumprod(0)

# === wrong: β is not limited | loses a7-schedule-test
# --- a7-schedule
#-     beta = (1 - f[1:] / f[:-1]).clamp(max=LIMIT)
#+     beta = (1 - f[1:] / f[:-1]).clamp(max=0.999)

# === wrong: the limit is put on ᾱ, not on β | loses a7-schedule-test
# --- a7-schedule
#-     beta = (1 - f[1:] / f[:-1]).clamp(max=LIMIT)
#-     return torch.cat([torch.ones(1, dtype=torch.float64), (1 - beta).cumprod(0)])
#+     return (f / f[0]).clamp(min=1 - LIMIT)

# === wrong: the β are added up | loses a7-schedule-test
# --- a7-schedule
#-     return torch.cat([torch.ones(1, dtype=torch.float64), (1 - beta).cumprod(0)])
#+     return torch.cat([torch.ones(1, dtype=torch.float64), (-beta.cumsum(0)).exp()])

# === wrong: ᾱ for √ᾱ | loses a7-split-test
# --- a7-split
#-     a, b = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
#-     p, q = factors(alpha_bar)
#-     whole = a * p + b * q  # the determinant, which is never 0
#+     a, b = alpha_bar, 1 - alpha_bar
#+     p, q = factors(alpha_bar)
#+     whole = a * p + b * q

# === wrong: ε and x₀ are exchanged | loses a7-split-test
# --- a7-split
#-     return p * eps - q * x0
#+     return p * x0 - q * eps

# === wrong: x₀ is right, and ε is what is left, divided by nothing at the end | loses a7-split-test
# --- a7-split
#-     return (p * x - b * u) / whole, (a * u + q * x) / whole
#+     x0 = (p * x - b * u) / whole
#+     return x0, (x - a * x0) / b if b else torch.zeros_like(x)

# === wrong: ε is right, and x₀ is what is left, divided by nothing at the end | loses a7-split-test
# --- a7-split
#-     return (p * x - b * u) / whole, (a * u + q * x) / whole
#+     eps = (a * u + q * x) / whole
#+     return (x - b * eps) / max(a, 1e-9), eps

# === wrong: v, as in the library | loses a7-split-test
# --- a7-split
from minidalle.dalle2 import diffusion
def target(x0, eps, alpha_bar):
    return diffusion.target("v", x0, eps, alpha_bar)
def split(u, x, alpha_bar):
    return diffusion.to_x0("v", u, x, alpha_bar), diffusion.to_eps("v", u, x, alpha_bar)

# === wrong: the weights are forgotten | loses a7-believe-test
# --- a7-believe
#-     p = (weights.log() - D / 2 * variance.log() - (away**2).sum(-1) / (2 * variance)).softmax(-1)
#+     p = (-D / 2 * variance.log() - (away**2).sum(-1) / (2 * variance)).softmax(-1)

# === wrong: the weights are added without a logarithm | loses a7-believe-test
# --- a7-believe
#-     p = (weights.log() - D / 2 * variance.log() - (away**2).sum(-1) / (2 * variance)).softmax(-1)
#+     p = (weights - D / 2 * variance.log() - (away**2).sum(-1) / (2 * variance)).softmax(-1)

# === wrong: a wide Gaussian is thought to be as high as a narrow one | loses a7-believe-test
# --- a7-believe
#-     p = (weights.log() - D / 2 * variance.log() - (away**2).sum(-1) / (2 * variance)).softmax(-1)
#+     p = (weights.log() - (away**2).sum(-1) / (2 * variance)).softmax(-1)

# === wrong: the height of a Gaussian in one dimension, whatever D is | loses a7-believe-test
# --- a7-believe
#-     p = (weights.log() - D / 2 * variance.log() - (away**2).sum(-1) / (2 * variance)).softmax(-1)
#+     p = (weights.log() - variance.log() / 2 - (away**2).sum(-1) / (2 * variance)).softmax(-1)

# === wrong: densities that underflow are divided by their sum | loses a7-believe-test
# --- a7-believe
#-     p = (weights.log() - D / 2 * variance.log() - (away**2).sum(-1) / (2 * variance)).softmax(-1)
#+     p = weights * variance ** (-D / 2) * (-(away**2).sum(-1) / (2 * variance)).exp()
#+     p = p / p.sum(-1, keepdim=True)

# === wrong: a softmax over the batch | loses a7-believe-test
# --- a7-believe
#-     p = (weights.log() - D / 2 * variance.log() - (away**2).sum(-1) / (2 * variance)).softmax(-1)
#+     p = (weights.log() - D / 2 * variance.log() - (away**2).sum(-1) / (2 * variance)).softmax(0)

# === wrong: x is compared with the pictures, not with √ᾱ times them | loses a7-believe-test
# --- a7-believe
#-     away = x[:, None] - a * data  # (B, M, D)
#+     away = x[:, None] - data

# === wrong: the pictures are taken for points when they are averaged | loses a7-believe-test
# --- a7-believe
#-     return (p[..., None] * means).sum(1), count
#+     return p @ data, count

# === wrong: the most probable picture, not the mean | loses a7-believe-test
# --- a7-believe
#-     return (p[..., None] * means).sum(1), count
#+     return means[torch.arange(len(x)), p.argmax(-1)], count

# === wrong: the old noise stays whole | loses a7-step-test
# --- a7-step
#-     x = to**0.5 * x0 + b * old * eps
#+     x = to**0.5 * x0 + b * eps

# === wrong: the fresh noise belongs to the beginning of the step | loses a7-step-test
# --- a7-step
#-     return x + b * fresh * noise if kappa else x
#+     return x + (1 - alpha_bar) ** 0.5 * fresh * noise if kappa else x

# === wrong: a variance taken for a deviation | loses a7-step-test
# --- a7-step
#-     return x + b * fresh * noise if kappa else x
#+     return x + (b * fresh) ** 2 * noise if kappa else x

# === wrong: what is left of the noise is a difference of deviations | loses a7-step-test
# --- a7-step
#-     x = to**0.5 * x0 + b * old * eps
#+     x = to**0.5 * x0 + b * (1 - fresh) * eps

# === wrong: the prediction is taken for ε | loses a7-step-test
# --- a7-step
#-     x0, eps = split(u, x, alpha_bar)
#+     x0, eps = (x - (1 - alpha_bar) ** 0.5 * u) / alpha_bar**0.5, u

# === wrong: η of DDIM | loses a7-step-test
# --- a7-step
from minidalle.dalle2.diffusion import ddim_step
def step(x, u, alpha_bar, to, kappa, noise):
    return ddim_step(x, split(u, x, alpha_bar)[1], alpha_bar, to, kappa, noise)

# === wrong: back into noise by far too little | loses a7-step-test
# --- a7-step
#-     b = (1 - to) ** 0.5
#+     b = (1 - to) ** 0.5
#+     if to < alpha_bar and kappa:
#+         return (to / alpha_bar) ** 0.5 * x + (1 - to / alpha_bar) * fresh * noise

# === wrong: every step is Euler's | loses a7-draw-test
# --- a7-draw
#-         z = z + (to - sigma) * ((1 - weight) * first + weight * second)
#+         z = z + (to - sigma) * first

# === wrong: to the time before in the schedule, not to the next of the list | loses a7-draw-test
# --- a7-draw
#-     for sigma, to in zip(sigmas, sigmas[1:]):
#+     for sigma, to in zip(sigmas, [(1 / float(bars[t - 1]) - 1) ** 0.5 for t in times[:-1]]):

# === wrong: the last step leads to time 1, not to the picture | loses a7-draw-test
# --- a7-draw
#-     return z - sigmas[-1] * eps(z, sigmas[-1])
#+     last = (1 / float(bars[1]) - 1) ** 0.5
#+     return (z + (last - sigmas[-1]) * eps(z, sigmas[-1])) * float(bars[1]) ** 0.5

# === wrong: the last step has a second look too | loses a7-draw-test
# --- a7-draw
#-     for sigma, to in zip(sigmas, sigmas[1:]):
#+     for sigma, to in zip(sigmas, [*sigmas[1:], 0.0]):
#
#-     return z - sigmas[-1] * eps(z, sigmas[-1])
#+     return z

# === wrong: the second look is at z, not at x | loses a7-draw-test
# --- a7-draw
#-         second = eps(z + (between - sigma) * first, between)
#+         y, alpha_bar = z + (between - sigma) * first, 1 / (1 + between**2)
#+         second = split(network(y, alpha_bar), y, alpha_bar)[1]

# === wrong: the second look is at the same place with less noise | loses a7-draw-test
# --- a7-draw
#-         second = eps(z + (between - sigma) * first, between)
#+         second = eps(z, between)

# === wrong: Heun's weights for every rule, the midpoint's for Heun's | loses a7-draw-test
# --- a7-draw
#-         z = z + (to - sigma) * ((1 - weight) * first + weight * second)
#+         weight = 1 if ORDER == "heun" else 0.5
#+         z = z + (to - sigma) * ((1 - weight) * first + weight * second)

# === wrong: u is guided, not ε | loses a7-guide-test
# --- a7-guide
#-     given = split(network(x, alpha_bar, caption), x, alpha_bar)[1]
#-     hidden = split(network(x, alpha_bar, None), x, alpha_bar)[1]
#+     given, hidden = network(x, alpha_bar, caption), network(x, alpha_bar, None)
#
#-     if HOW == "length":
#-         return (given + add) * length / (given + add).norm(dim=1, keepdim=True)
#-     if HOW == "across":
#-         return given + add - (add * given).sum(1, keepdim=True) / length**2 * given
#-     return given + add * (length / 2 / add.norm(dim=1, keepdim=True).clamp(min=1e-300)).clamp(max=1)
#+     if HOW == "length":
#+         u = (given + add) * length / (given + add).norm(dim=1, keepdim=True)
#+     elif HOW == "across":
#+         u = given + add - (add * given).sum(1, keepdim=True) / length**2 * given
#+     else:
#+         u = given + add * (length / 2 / add.norm(dim=1, keepdim=True).clamp(min=1e-300)).clamp(max=1)
#+     return split(u, x, alpha_bar)[1]

# === wrong: x₀ is guided, not ε | loses a7-guide-test
# --- a7-guide
#-     given = split(network(x, alpha_bar, caption), x, alpha_bar)[1]
#-     hidden = split(network(x, alpha_bar, None), x, alpha_bar)[1]
#+     given = split(network(x, alpha_bar, caption), x, alpha_bar)[0]
#+     hidden = split(network(x, alpha_bar, None), x, alpha_bar)[0]
#
#-     if HOW == "length":
#-         return (given + add) * length / (given + add).norm(dim=1, keepdim=True)
#-     if HOW == "across":
#-         return given + add - (add * given).sum(1, keepdim=True) / length**2 * given
#-     return given + add * (length / 2 / add.norm(dim=1, keepdim=True).clamp(min=1e-300)).clamp(max=1)
#+     if HOW == "length":
#+         x0 = (given + add) * length / (given + add).norm(dim=1, keepdim=True)
#+     elif HOW == "across":
#+         x0 = given + add - (add * given).sum(1, keepdim=True) / length**2 * given
#+     else:
#+         x0 = given + add * (length / 2 / add.norm(dim=1, keepdim=True).clamp(min=1e-300)).clamp(max=1)
#+     return (x - alpha_bar**0.5 * x0) / (1 - alpha_bar) ** 0.5

# === wrong: with the caption, the noisy picture is hidden too | loses a7-guide-test
# --- a7-guide
#-     hidden = split(network(x, alpha_bar, None), x, alpha_bar)[1]
#+     hidden = split(network(torch.zeros_like(x), alpha_bar, None), x, alpha_bar)[1]

# === wrong: lengths are those of the batch | loses a7-guide-test
# --- a7-guide
#-     length = given.norm(dim=1, keepdim=True)
#-     if HOW == "length":
#-         return (given + add) * length / (given + add).norm(dim=1, keepdim=True)
#-     if HOW == "across":
#-         return given + add - (add * given).sum(1, keepdim=True) / length**2 * given
#-     return given + add * (length / 2 / add.norm(dim=1, keepdim=True).clamp(min=1e-300)).clamp(max=1)
#+     if HOW == "length":
#+         return (given + add) * given.norm() / (given + add).norm()
#+     if HOW == "across":
#+         return given + add - (add * given).sum() / given.norm() ** 2 * given
#+     return given + add * (given.norm() / 2 / add.norm().clamp(min=1e-300)).clamp(max=1)

# === wrong: the guidance of another paper, where 0 is none | loses a7-guide-test
# --- a7-guide
#-     add = (guidance - 1) * share * (given - hidden)
#+     add = (1 + (guidance - 1) * share) * (given - hidden)

# === wrong: equally strong at all times | loses a7-guide-test
# --- a7-guide
#-     add = (guidance - 1) * share * (given - hidden)
#+     add = (guidance - 1) * (given - hidden)

# === wrong: plain guidance, as in the library | loses a7-guide-test
# --- a7-guide
#-     length = given.norm(dim=1, keepdim=True)
#+     return given + add

# === wrong: away from the caption | loses a7-guide-test
# --- a7-guide
#-     add = (guidance - 1) * share * (given - hidden)
#+     add = (guidance - 1) * share * (hidden - given)

# === wrong: the noise of the other end is taken, as in the library | loses a7-invert-test
# --- a7-invert
#-         alpha_bar, guess, change = float(bars[t]), x, 1.0
#-         while change > 1e-11:
#-             x0, eps = split(network(guess, alpha_bar), guess, alpha_bar)
#+         alpha_bar, guess, change = float(bars[t]), x, 1.0
#+         here = min(to, float(bars[times[-1]]))
#+         while change:
#+             x0, eps = split(network(x, here), x, here)
#
#-             guess, change = better, float((better - guess).abs().max())
#+             guess, change = better, 0

# === wrong: ᾱ of the noisier end, but x of the other | loses a7-invert-test
# --- a7-invert
#-             guess, change = better, float((better - guess).abs().max())
#+             guess, change = better, 0

# === wrong: corrected once | loses a7-invert-test
# --- a7-invert
#-         alpha_bar, guess, change = float(bars[t]), x, 1.0
#-         while change > 1e-11:
#+         alpha_bar, guess = float(bars[t]), x
#+         for _ in range(2):
#
#-             guess, change = better, float((better - guess).abs().max())
#+             guess = better

# === wrong: the times in the order of the drawing | loses a7-invert-test
# --- a7-invert
#-     for t in reversed(times):
#+     for t in times:

# === wrong: the noise of a step is added without a change of scale | loses a7-invert-test
# --- a7-invert
#-                 better = alpha_bar**0.5 * (x / to**0.5 + (sigma(alpha_bar) - sigma(to)) * eps)
#-             else:
#-                 v = alpha_bar**0.5 * eps - (1 - alpha_bar) ** 0.5 * x0
#+                 better = x + (sigma(alpha_bar) - sigma(to)) * eps
#+             else:
#+                 v = eps
