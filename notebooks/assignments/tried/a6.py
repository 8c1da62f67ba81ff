"""Solutions of assignment 6, to try its tests on; `minidalle course check a6` does."""

# === right: in loops, question by question
# --- a6-loss
def loss(pictures, captions, extra, groups, scales):
    pictures, captions, extra = [F.normalize(t, dim=1) for t in (pictures, captions, extra)]
    B, total = len(pictures), 0.0
    for i in range(B):
        for asked, answers, kind, scale, weight in (
            (pictures[i], captions, "captions", scales[0], WEIGHT),
            (captions[i], pictures, "pictures", scales[1], 1 - WEIGHT),
        ):
            logits = [scale * (asked * answer).sum() for answer in answers]
            logits += [scale * (asked * other).sum() for other in extra] if EXTRA == kind else []
            right = [logits[j] for j in range(B) if groups[j] == groups[i]]
            if RIGHT == "any":
                told = torch.stack(right).logsumexp(0)
            else:
                told = sum(right) / len(right)
            total = total + weight * (torch.stack(logits).logsumexp(0) - told) / B
    return total
# --- a6-gradient
def gradient(cosines, groups, scale):
    B, C = cosines.shape
    out, by_scale = np.zeros((B, C)), 0.0
    for i in range(B):
        p = [math.exp(scale * c) for c in cosines[i]]
        p = [value / sum(p) for value in p]
        right = [j for j in range(B) if groups[j] == groups[i]]
        mass = sum(p[j] for j in right)
        for j in range(C):
            target = 0.0
            if j in right:
                target = p[j] / mass if RIGHT == "any" else 1 / len(right)
            out[i, j] = scale * (p[j] - target) / B
            by_scale += cosines[i, j] * (p[j] - target) / B
    return out, by_scale
# --- a6-ensemble
def ensemble(ways):
    classes = []
    for features in ways:
        unit = [row / row.norm() for row in features]
        centre = sum(unit) / len(unit)
        near = [float(row @ centre) / float(centre.norm()) for row in unit]
        if COMBINE == "drop":
            unit.pop(near.index(min(near)))
        if COMBINE == "double":
            unit.append(unit[near.index(max(near))])
        if COMBINE == "weigh":
            unit = [math.exp(10 * cosine) * row for cosine, row in zip(near, unit)]
        total = sum(unit)
        classes.append(total / total.norm())
    return torch.stack(classes)
# --- a6-name
def name(pictures, classes, scale, prior):
    table, answers = [], []
    for picture in pictures:
        odds = [p * (scale * F.cosine_similarity(picture, c, dim=0)).exp() for c, p in zip(classes, prior)]
        row = [float(value / sum(odds)) for value in odds]
        first, second = sorted(row, reverse=True)[:2]
        sure = {"half": first >= 0.5, "lead": first - second >= 0.25, "odds": first >= 2 * second}[UNSURE]
        table.append(row)
        answers.append(row.index(first) if sure else -1)
    return torch.tensor(table), answers
# --- a6-pmi
def pmi(scores, p, q):
    X, C = scores.shape
    out = np.zeros((X, C))
    if ASKED == "pictures":
        for c in range(C):
            constant = math.log(sum(q[x] * math.exp(scores[x, c]) for x in range(X)))
            for x in range(X):
                out[x, c] = scores[x, c] + math.log(q[x] / p[x]) - constant
    else:
        for x in range(X):
            constant = math.log(sum(q[c] * math.exp(scores[x, c]) for c in range(C)))
            for c in range(C):
                out[x, c] = scores[x, c] + math.log(q[c] / p[c]) - constant
    return out
# --- a6-gain
def gain(scores, exact, few, many):
    gains = []
    for s, e in zip(scores, exact):
        total = 0.0
        for one_s, one_e in zip(s, e):
            for n, sign in ((many, 1), (few, -1)):
                best = sorted(range(n), key=lambda i: -one_s[i])[:2]
                right = sum(bool(one_e[i]) for i in best)
                total += sign * {"one": right > 0, "both": right == 2, "share": right / 2}[COUNT]
        gains.append(total / len(s))
    mean = sum(gains) / len(gains)
    return mean, (sum((g - mean) ** 2 for g in gains) / (len(gains) - 1) / len(gains)) ** 0.5
# --- a6-shuffled
def shuffled(kinds, random):
    Q = len(kinds)
    allowed = [
        order
        for order in itertools.permutations(range(Q))
        if all((kinds[j] == kinds[i] and i != j) if SHUFFLE == "within" else kinds[j] != kinds[i] for i, j in enumerate(order))
    ]
    return list(allowed[random.integers(len(allowed))])

# === right: with what torch and the library offer
# --- a6-loss
def loss(pictures, captions, extra, groups, scales):
    B = len(pictures)
    a, b, e = (F.normalize(t, dim=-1) for t in (pictures, captions, extra))
    rows, columns = scales[0] * a @ b.T, scales[1] * b @ a.T
    if EXTRA == "captions":
        rows = torch.cat([rows, scales[0] * a @ e.T], 1)
    else:
        columns = torch.cat([columns, scales[1] * b @ e.T], 1)
    alike = (groups[:, None] == groups[None]).float()
    def cross(logits):
        if RIGHT == "share":
            target = F.pad(alike / alike.sum(1, keepdim=True), (0, logits.shape[1] - B))
            return F.cross_entropy(logits, target)
        right = torch.where(alike.bool(), logits[:, :B], torch.full((B, B), -math.inf))
        return (torch.logsumexp(logits, 1) - torch.logsumexp(right, 1)).mean()
    return WEIGHT * cross(rows) + (1 - WEIGHT) * cross(columns)
# --- a6-name
def name(pictures, classes, scale, prior):
    p = prior * (scale * torch.cosine_similarity(pictures[:, None], classes[None], dim=-1)).softmax(1)
    p = (p / p.sum(1, keepdim=True)).numpy()
    ordered = np.sort(p, axis=1)
    first, second = ordered[:, -1], ordered[:, -2]
    sure = {"half": first >= 0.5, "lead": first - second >= 0.25, "odds": first / second >= 2}[UNSURE]
    return p, np.where(sure, p.argmax(1), -1)
# --- a6-gain
from minidalle.rates import mean
def gain(scores, exact, few, many):
    def value(n):
        order = np.argsort(-scores[:, :, :n], axis=2, kind="stable")
        ranked = np.take_along_axis(exact[:, :, :n], order, 2).astype(float)
        first, second = ranked[:, :, 0], ranked[:, :, 1]
        counted = {"one": np.maximum(first, second), "both": first * second, "share": (first + second) / 2}
        return counted[COUNT].mean(1)
    figures = mean("gain", value(many) - value(few))
    return figures["gain"], figures["gain ±"]
# --- a6-shuffled
def shuffled(kinds, random):
    def allowed(i, j):
        return (kinds[i] == kinds[j] and i != j) if SHUFFLE == "within" else kinds[i] != kinds[j]
    order = list(range(len(kinds)))
    while not all(allowed(i, j) for i, j in enumerate(order)):
        random.shuffle(order)
    random.shuffle(order)
    while not all(allowed(i, j) for i, j in enumerate(order)):
        random.shuffle(order)
    return order

# === right: by other formulas
# --- a6-loss
def loss(pictures, captions, extra, groups, scales):
    B = len(pictures)
    unit = [t.double() / t.double().norm(dim=1, keepdim=True) for t in (pictures, captions, extra)]
    cosines = unit[0] @ unit[1].T
    alike = groups.reshape(-1, 1).eq(groups.reshape(1, -1))
    to_captions, to_pictures = scales[0] * cosines, scales[1] * cosines
    all_captions, all_pictures = to_captions, to_pictures
    if EXTRA == "captions":
        all_captions = torch.hstack([to_captions, scales[0] * unit[0] @ unit[2].T])
    else:
        all_pictures = torch.vstack([to_pictures, scales[1] * unit[2] @ unit[1].T])
    if RIGHT == "any":
        hidden = torch.zeros(B, B, dtype=torch.double).masked_fill(~alike, -1e9)
        right = (to_captions + hidden).logsumexp(1), (to_pictures + hidden).logsumexp(0)
    else:
        right = (to_captions * alike).sum(1) / alike.sum(1), (to_pictures * alike).sum(0) / alike.sum(0)
    losses = all_captions.logsumexp(1) - right[0], all_pictures.logsumexp(0) - right[1]
    return (WEIGHT * losses[0] + (1 - WEIGHT) * losses[1]).mean()
# --- a6-gradient
def gradient(cosines, groups, scale):
    # The chain rule through every logit: the Jacobian of a row's softmax is diag(p) - p pᵀ.
    B, C = cosines.shape
    by_cosine = np.zeros((B, C))
    for i in range(B):
        p = np.exp(scale * cosines[i]) / np.exp(scale * cosines[i]).sum()
        jacobian = np.diag(p) - np.outer(p, p)
        right = np.append(groups == groups[i], np.zeros(C - B, bool))
        by_p = np.zeros(C)
        by_p[right] = -1 / p[right].sum() if RIGHT == "any" else -1 / p[right] / right.sum()
        by_cosine[i] = scale * jacobian @ by_p / B
    return by_cosine, float(np.sum(by_cosine / scale * cosines))
# --- a6-ensemble
def ensemble(ways):
    out = np.zeros((len(ways), ways[0].shape[1]))
    for k, features in enumerate(ways):
        a = features.double().numpy()
        a = a / np.linalg.norm(a, axis=1, keepdims=True)
        near = a @ a.sum(0) / np.linalg.norm(a.sum(0))
        if COMBINE == "drop":
            mean = np.delete(a, near.argmin(), axis=0).mean(0)
        elif COMBINE == "double":
            mean = np.vstack([a, a[near.argmax()]]).mean(0)
        else:
            weights = np.exp(10 * near - 10)
            mean = (weights / weights.sum()) @ a
        out[k] = mean / np.sqrt(mean @ mean)
    return torch.from_numpy(out)
# --- a6-pmi
def pmi(scores, p, q):
    if ASKED == "captions":
        own = scores + np.log(q)
        own = own - np.logaddexp.reduce(own, axis=1)[:, None]
        return own - np.log(p)
    own = scores.T + np.log(q)
    return (own - np.logaddexp.reduce(own, axis=1)[:, None] - np.log(p)).T
# --- a6-gain
def gain(scores, exact, few, many):
    scores, exact = torch.from_numpy(scores), torch.from_numpy(exact).float()
    values = []
    for n in (few, many):
        order = scores[..., :n].argsort(dim=-1, descending=True, stable=True)[..., :2]
        two = exact.gather(-1, order)
        values.append({"one": two.amax(-1), "both": two.amin(-1), "share": two.mean(-1)}[COUNT].mean(1))
    difference = values[1] - values[0]
    return difference.mean(), difference.std() / len(difference) ** 0.5

# === wrong: lengths count, features are not normalised | loses a6-loss-test
# --- a6-loss
def loss(pictures, captions, extra, groups, scales):
    alike = groups[:, None] == groups
    def direction(asked, answers, wrong, scale):
        logs = (scale * asked @ torch.cat([answers, wrong]).T).log_softmax(-1)[:, : len(asked)]
        if RIGHT == "any":
            return -logs.masked_fill(~alike, -math.inf).logsumexp(-1).mean()
        return -((logs * alike).sum(-1) / alike.sum(-1)).mean()
    none = extra[:0]
    return WEIGHT * direction(pictures, captions, extra if EXTRA == "captions" else none, scales[0]) + (
        1 - WEIGHT
    ) * direction(captions, pictures, extra if EXTRA == "pictures" else none, scales[1])

# === wrong: one direction only | loses a6-loss-test
# --- a6-loss
def loss(pictures, captions, extra, groups, scales):
    alike = groups[:, None] == groups
    candidates = torch.cat([pictures, extra]) if EXTRA == "pictures" else pictures
    logits = scales[1] * F.normalize(captions, dim=-1) @ F.normalize(candidates, dim=-1).T
    logs = logits.log_softmax(-1)[:, : len(captions)]
    if RIGHT == "any":
        return -logs.masked_fill(~alike, -math.inf).logsumexp(-1).mean()
    return -((logs * alike).sum(-1) / alike.sum(-1)).mean()

# === wrong: a temperature, cosines are divided by it | loses a6-loss-test
# --- a6-loss
#-         logs = (scale * F.normalize(asked, dim=-1) @ candidates.T).log_softmax(-1)[:, : len(asked)]
#+         logs = (F.normalize(asked, dim=-1) @ candidates.T / scale).log_softmax(-1)[:, : len(asked)]
#
#-     about_pictures = direction(pictures, captions, extra if EXTRA == "captions" else none, scales[0])
#-     about_captions = direction(captions, pictures, extra if EXTRA == "pictures" else none, scales[1])
#-     return WEIGHT * about_pictures + (1 - WEIGHT) * about_captions
#+     return WEIGHT * direction(pictures, captions, extra if EXTRA == "captions" else none, scales[0]) + (
#+         1 - WEIGHT
#+     ) * direction(captions, pictures, extra if EXTRA == "pictures" else none, scales[1])

# === wrong: the extra ones come first, and the right answers are still on the diagonal | loses a6-loss-test
# --- a6-loss
#-         candidates = F.normalize(torch.cat([answers, wrong]), dim=-1)
#+         candidates = F.normalize(torch.cat([wrong, answers]), dim=-1)
#
#-     about_pictures = direction(pictures, captions, extra if EXTRA == "captions" else none, scales[0])
#-     about_captions = direction(captions, pictures, extra if EXTRA == "pictures" else none, scales[1])
#-     return WEIGHT * about_pictures + (1 - WEIGHT) * about_captions
#+     return WEIGHT * direction(pictures, captions, extra if EXTRA == "captions" else none, scales[0]) + (
#+         1 - WEIGHT
#+     ) * direction(captions, pictures, extra if EXTRA == "pictures" else none, scales[1])

# === wrong: the extra ones are negatives in both directions | loses a6-loss-test
# --- a6-loss
def loss(pictures, captions, extra, groups, scales):
    alike = groups[:, None] == groups
    def direction(asked, answers, scale):
        candidates = F.normalize(torch.cat([answers, extra]), dim=-1)
        logs = (scale * F.normalize(asked, dim=-1) @ candidates.T).log_softmax(-1)[:, : len(asked)]
        if RIGHT == "any":
            return -logs.masked_fill(~alike, -math.inf).logsumexp(-1).mean()
        return -((logs * alike).sum(-1) / alike.sum(-1)).mean()
    return WEIGHT * direction(pictures, captions, scales[0]) + (1 - WEIGHT) * direction(captions, pictures, scales[1])

# === wrong: only the diagonal is right, as in CLIP | loses a6-loss-test
# --- a6-loss
def loss(pictures, captions, extra, groups, scales):
    def direction(asked, answers, wrong, scale):
        candidates = F.normalize(torch.cat([answers, wrong]), dim=-1)
        return F.cross_entropy(scale * F.normalize(asked, dim=-1) @ candidates.T, torch.arange(len(asked)))
    none = extra[:0]
    return WEIGHT * direction(pictures, captions, extra if EXTRA == "captions" else none, scales[0]) + (
        1 - WEIGHT
    ) * direction(captions, pictures, extra if EXTRA == "pictures" else none, scales[1])

# === wrong: the softmax goes over the questions, not over the candidates | loses a6-loss-test
# --- a6-loss
#-         logs = (scale * F.normalize(asked, dim=-1) @ candidates.T).log_softmax(-1)[:, : len(asked)]
#+         logs = (scale * F.normalize(asked, dim=-1) @ candidates.T).log_softmax(0)[:, : len(asked)]
#
#-     about_pictures = direction(pictures, captions, extra if EXTRA == "captions" else none, scales[0])
#-     about_captions = direction(captions, pictures, extra if EXTRA == "pictures" else none, scales[1])
#-     return WEIGHT * about_pictures + (1 - WEIGHT) * about_captions
#+     return WEIGHT * direction(pictures, captions, extra if EXTRA == "captions" else none, scales[0]) + (
#+         1 - WEIGHT
#+     ) * direction(captions, pictures, extra if EXTRA == "pictures" else none, scales[1])

# === wrong: the scales of the two directions are exchanged | loses a6-loss-test
# --- a6-loss
#-     about_pictures = direction(pictures, captions, extra if EXTRA == "captions" else none, scales[0])
#-     about_captions = direction(captions, pictures, extra if EXTRA == "pictures" else none, scales[1])
#-     return WEIGHT * about_pictures + (1 - WEIGHT) * about_captions
#+     return WEIGHT * direction(pictures, captions, extra if EXTRA == "captions" else none, scales[1]) + (
#+         1 - WEIGHT
#+     ) * direction(captions, pictures, extra if EXTRA == "pictures" else none, scales[0])

# === wrong: the mean of logarithms and the logarithm of the sum are confused | loses a6-loss-test
# --- a6-loss
#-         if RIGHT == "any":
#+         if RIGHT == "share":
#
#-     about_pictures = direction(pictures, captions, extra if EXTRA == "captions" else none, scales[0])
#-     about_captions = direction(captions, pictures, extra if EXTRA == "pictures" else none, scales[1])
#-     return WEIGHT * about_pictures + (1 - WEIGHT) * about_captions
#+     return WEIGHT * direction(pictures, captions, extra if EXTRA == "captions" else none, scales[0]) + (
#+         1 - WEIGHT
#+     ) * direction(captions, pictures, extra if EXTRA == "pictures" else none, scales[1])

# === wrong: the logarithm of a softmax that has underflowed | loses a6-loss-test
# --- a6-loss
def loss(pictures, captions, extra, groups, scales):
    alike = (groups[:, None] == groups).float()
    def direction(asked, answers, wrong, scale):
        candidates = F.normalize(torch.cat([answers, wrong]), dim=-1)
        p = (scale * F.normalize(asked, dim=-1) @ candidates.T).softmax(-1)[:, : len(asked)]
        if RIGHT == "any":
            return -(p * alike).sum(-1).log().mean()
        return -((p.log() * alike).sum(-1) / alike.sum(-1)).mean()
    none = extra[:0]
    return WEIGHT * direction(pictures, captions, extra if EXTRA == "captions" else none, scales[0]) + (
        1 - WEIGHT
    ) * direction(captions, pictures, extra if EXTRA == "pictures" else none, scales[1])

# === wrong: the derivative with respect to logits, not to cosines | loses a6-gradient-test
# --- a6-gradient
def gradient(cosines, groups, scale):
    B, C = cosines.shape
    right = np.pad((groups[:, None] == groups).astype(float), ((0, 0), (0, C - B)))
    odds = np.exp(scale * cosines)
    wanted = right if RIGHT == "share" else right * odds
    by_logit = (odds / odds.sum(1, keepdims=True) - wanted / wanted.sum(1, keepdims=True)) / B
    return by_logit, (by_logit * cosines).sum()

# === wrong: the sum over the rows, not the mean | loses a6-gradient-test
# --- a6-gradient
def gradient(cosines, groups, scale):
    B, C = cosines.shape
    right = np.pad((groups[:, None] == groups).astype(float), ((0, 0), (0, C - B)))
    odds = np.exp(scale * cosines)
    wanted = right if RIGHT == "share" else right * odds
    by_logit = odds / odds.sum(1, keepdims=True) - wanted / wanted.sum(1, keepdims=True)
    return scale * by_logit, (by_logit * cosines).sum()

# === wrong: the derivative of the other rule | loses a6-gradient-test
# --- a6-gradient
def gradient(cosines, groups, scale):
    B, C = cosines.shape
    right = np.pad((groups[:, None] == groups).astype(float), ((0, 0), (0, C - B)))
    odds = np.exp(scale * cosines)
    wanted = right if RIGHT == "any" else right * odds
    by_logit = (odds / odds.sum(1, keepdims=True) - wanted / wanted.sum(1, keepdims=True)) / B
    return scale * by_logit, (by_logit * cosines).sum()

# === wrong: every right answer is pulled towards probability one | loses a6-gradient-test
# --- a6-gradient
def gradient(cosines, groups, scale):
    B, C = cosines.shape
    right = np.pad((groups[:, None] == groups).astype(float), ((0, 0), (0, C - B)))
    odds = np.exp(scale * cosines)
    by_logit = (odds / odds.sum(1, keepdims=True) - right) / B
    return scale * by_logit, (by_logit * cosines).sum()

# === wrong: averaged before they are normalised | loses a6-ensemble-test
# --- a6-ensemble
#-         unit = F.normalize(features, dim=-1)
#-         near = unit @ F.normalize(unit.mean(0), dim=0)  # (W,)
#+         near = F.normalize(features, dim=-1) @ F.normalize(features.mean(0), dim=0)
#
#-         found.append(F.normalize(weights @ unit, dim=0))
#+         found.append(F.normalize(weights @ features, dim=0))

# === wrong: a mean of unit features is thought to have length one | loses a6-ensemble-test
# --- a6-ensemble
#-         found.append(F.normalize(weights @ unit, dim=0))
#+         found.append(weights @ unit / weights.sum())

# === wrong: the plain mean of the paper | loses a6-ensemble-test
# --- a6-ensemble
def ensemble(ways):
    return torch.stack([F.normalize(F.normalize(features, dim=-1).mean(0), dim=0) for features in ways])

# === wrong: the softmax goes over the pictures | loses a6-name-test
# --- a6-name
#-     probabilities = (scores + prior.log()).softmax(dim=-1)
#+     probabilities = (scores + prior.log()).softmax(dim=0)

# === wrong: the most probable picture for each class | loses a6-name-test
# --- a6-name
def name(pictures, classes, scale, prior):
    scores = scale * F.normalize(pictures, dim=-1) @ classes.T
    probabilities = (scores + prior.log()).softmax(dim=-1)
    return probabilities, probabilities.argmax(0)

# === wrong: the prior is added to the scores without a logarithm | loses a6-name-test
# --- a6-name
#-     probabilities = (scores + prior.log()).softmax(dim=-1)
#+     probabilities = (scores + prior).softmax(dim=-1)

# === wrong: the prior is multiplied in after the softmax, and the sum is no longer one | loses a6-name-test
# --- a6-name
#-     probabilities = (scores + prior.log()).softmax(dim=-1)
#+     probabilities = scores.softmax(dim=-1) * prior

# === wrong: the pictures are taken for unit features | loses a6-name-test
# --- a6-name
def name(pictures, classes, scale, prior):
    probabilities = (scale * pictures @ classes.T + prior.log()).softmax(dim=-1)
    (first, second), best = probabilities.topk(2).values.T, probabilities.argmax(-1)
    unsure = {"half": first < 0.5, "lead": first - second < 0.25, "odds": first < 2 * second}[UNSURE]
    return probabilities, best.masked_fill(unsure, -1)

# === wrong: all classes alike, as in zero_shot | loses a6-name-test
# --- a6-name
from minidalle.clip import features
def name(pictures, classes, scale, prior):
    probabilities = (scale * features(lambda x: x, pictures) @ classes.T).softmax(dim=-1)
    (first, second), best = probabilities.topk(2).values.T, probabilities.argmax(-1)
    unsure = {"half": first < 0.5, "lead": first - second < 0.25, "odds": first < 2 * second}[UNSURE]
    return probabilities, best.masked_fill(unsure, -1)

# === wrong: q is forgotten | loses a6-pmi-test
# --- a6-pmi
def pmi(scores, p, q):
    axis = 0 if ASKED == "pictures" else 1
    p = np.expand_dims(p, 1 - axis)
    return scores - np.log((p * np.exp(scores)).sum(axis, keepdims=True))

# === wrong: the constants are removed by subtracting means | loses a6-pmi-test
# --- a6-pmi
def pmi(scores, p, q):
    axis = 0 if ASKED == "pictures" else 1
    p, q = np.expand_dims(p, 1 - axis), np.expand_dims(q, 1 - axis)
    found = scores + np.log(q) - np.log(p)
    return found - found.mean(axis, keepdims=True)

# === wrong: p and q are exchanged | loses a6-pmi-test
# --- a6-pmi
def pmi(scores, p, q):
    axis = 0 if ASKED == "pictures" else 1
    p, q = np.expand_dims(p, 1 - axis), np.expand_dims(q, 1 - axis)
    odds = p * np.exp(scores)
    return np.log(odds / odds.sum(axis, keepdims=True)) - np.log(q)

# === wrong: one constant for the whole table | loses a6-pmi-test
# --- a6-pmi
def pmi(scores, p, q):
    axis = 0 if ASKED == "pictures" else 1
    p, q = np.expand_dims(p, 1 - axis), np.expand_dims(q, 1 - axis)
    odds = q * np.exp(scores)
    return np.log(odds / odds.sum() * scores.shape[1 - axis]) - np.log(p)

# === wrong: the first n in CLIP's order, not the first n that were drawn | loses a6-gain-test
# --- a6-gain
def gain(scores, exact, few, many):
    order = (-scores).argsort(-1, kind="stable")
    def value(n):
        two = np.take_along_axis(exact, order[..., :n][..., :2], -1)
        return {"one": two.any(-1), "both": two.all(-1), "share": two.mean(-1)}[COUNT].mean(-1)
    gains = value(many) - value(few)
    return gains.mean(), gains.std(ddof=1) / math.sqrt(len(gains))

# === wrong: the standard error of two independent rates | loses a6-gain-test
# --- a6-gain
def gain(scores, exact, few, many):
    def value(n):
        best = (-scores[..., :n]).argsort(-1, kind="stable")[..., :2]
        two = np.take_along_axis(exact, best, -1)
        return {"one": two.any(-1), "both": two.all(-1), "share": two.mean(-1)}[COUNT].mean(-1)
    a, b = value(few), value(many)
    return (b - a).mean(), math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / len(a))

# === wrong: each time counts as a further caption | loses a6-gain-test
# --- a6-gain
def gain(scores, exact, few, many):
    def value(n):
        best = (-scores[..., :n]).argsort(-1, kind="stable")[..., :2]
        two = np.take_along_axis(exact, best, -1)
        return {"one": two.any(-1), "both": two.all(-1), "share": two.mean(-1)}[COUNT].astype(float)
    gains = (value(many) - value(few)).flatten()
    return gains.mean(), gains.std(ddof=1) / math.sqrt(len(gains))

# === wrong: divided by Q, not Q - 1 | loses a6-gain-test
# --- a6-gain
def gain(scores, exact, few, many):
    def value(n):
        best = (-scores[..., :n]).argsort(-1, kind="stable")[..., :2]
        two = np.take_along_axis(exact, best, -1)
        return {"one": two.any(-1), "both": two.all(-1), "share": two.mean(-1)}[COUNT].mean(-1)
    gains = value(many) - value(few)
    return gains.mean(), gains.std() / math.sqrt(len(gains))

# === wrong: of equal scores the last comes first | loses a6-gain-test
# --- a6-gain
def gain(scores, exact, few, many):
    def value(n):
        best = scores[..., :n].argsort(-1, kind="stable")[..., ::-1][..., :2]
        two = np.take_along_axis(exact, best, -1)
        return {"one": two.any(-1), "both": two.all(-1), "share": two.mean(-1)}[COUNT].mean(-1)
    gains = value(many) - value(few)
    return gains.mean(), gains.std(ddof=1) / math.sqrt(len(gains))

# === wrong: the favourite alone, as in the library | loses a6-gain-test
# --- a6-gain
def gain(scores, exact, few, many):
    def value(n):
        best = (-scores[..., :n]).argsort(-1, kind="stable")[..., :1]
        return np.take_along_axis(exact, best, -1)[..., 0].mean(-1)
    gains = value(many) - value(few)
    return gains.mean(), gains.std(ddof=1) / math.sqrt(len(gains))

# === wrong: a caption may stay in place | loses a6-shuffled-test
# --- a6-shuffled
def shuffled(kinds, random):
    if SHUFFLE == "across":
        return random.permutation(len(kinds))
    order = np.arange(len(kinds))
    for kind in np.unique(kinds):
        places = np.flatnonzero(kinds == kind)
        order[places] = random.permutation(places)
    return order

# === wrong: only its own place is forbidden, whatever the kinds | loses a6-shuffled-test
# --- a6-shuffled
def shuffled(kinds, random):
    while True:
        order = random.permutation(len(kinds))
        if (order != np.arange(len(kinds))).all():
            return order

# === wrong: a rotation, which is only one of many orders | loses a6-shuffled-test
# --- a6-shuffled
def shuffled(kinds, random):
    order = np.argsort(kinds, kind="stable")
    turned = np.empty(len(kinds), int)
    if SHUFFLE == "within":
        for kind in np.unique(kinds):
            places = np.flatnonzero(kinds == kind)
            turned[places] = np.roll(places, random.integers(1, len(places)))
    else:
        turned[order] = np.roll(order, np.unique(kinds, return_counts=True)[1].max())
    return turned
