"""Solutions of assignment 1, to try its tests on; `minidalle course check a1` does."""

# === right: with counters
# --- a1-count
def count_pairs(words):
    return sum((Counter(zip(word, word[1:])) for word in words for _ in range(words[word])), Counter())
# --- a1-merge
def merge(word, pair, new):
    out = []
    for token in word:
        out.append(token)
        if tuple(out[-2:]) == tuple(pair):
            out[-2:] = [new]
    return tuple(out)

# === right: by sorting
# --- a1-best
def best_pair(counts, names):
    pairs = [pair for pair, times in counts.items() if times == max(counts.values())]
    size = lambda pair: len(names[pair[0]] + names[pair[1]])
    text = lambda pair: names[pair[0]] + names[pair[1]]
    apart = lambda pair: abs(len(names[pair[0]]) - len(names[pair[1]]))
    if RULE == "newest":
        return max(pairs, key=lambda pair: pair[::-1])
    if RULE == "longest":
        return max(pairs, key=lambda pair: (size(pair), text(pair), pair))
    if RULE == "shortest":
        return min(pairs, key=lambda pair: (size(pair), text(pair), -pair[0], -pair[1]))
    return min(pairs, key=lambda pair: (apart(pair), -pair[0], -pair[1]))
# --- a1-encode
def encode(word, merges):
    tokens = list(word.encode())
    for number, pair in enumerate(merges, 256):
        tokens = list(merge(tokens, pair, number))
    return tokens

# === right: with recursion and lists
# --- a1-merge
def merge(word, pair, new):
    word = list(word)
    if len(word) < 2:
        return word
    if (word[0], word[1]) == tuple(pair):
        return [new, *merge(word[2:], pair, new)]
    return [word[0], *merge(word[1:], pair, new)]
# --- a1-train
def train(text, number):
    names, merges = [bytes([i]) for i in range(256)], []
    words = [tuple(word.encode()) for word in text.split()]
    while len(merges) < number and any(len(word) > 1 for word in words):
        pair = best_pair(count_pairs(Counter(words)), names)
        words = [tuple(merge(word, pair, len(names))) for word in words]
        names.append(names[pair[0]] + names[pair[1]])
        merges.append(pair)
    return merges
# --- a1-dropout
def encode_dropout(word, merges, p, random):
    tokens, rank = list(word.encode()), dict(zip(merges, range(len(merges))))
    while True:
        left = []
        for i in range(len(tokens) - 1):
            learnt = rank.get((tokens[i], tokens[i + 1]))
            if learnt is not None and random.random() >= p:
                left.append((learnt, i))
        if not left:
            return tokens
        learnt, i = min(left)
        tokens[i] = 256 + learnt
        del tokens[i + 1]

# === wrong: counts every word once | loses a1-count-test
# --- a1-count
def count_pairs(words):
    return Counter(pair for word in words for pair in zip(word, word[1:]))

# === wrong: pairs that overlap count once | loses a1-count-test
# --- a1-count
def count_pairs(words):
    counts = Counter()
    for word, times in words.items():
        i = 0
        while i < len(word) - 1:
            counts[word[i], word[i + 1]] += times
            i += 2 if word[i] == word[i + 1] else 1
    return counts

# === wrong: any of the most frequent | loses a1-best-test
# --- a1-best
def best_pair(counts, names):
    return counts.most_common(1)[0][0]

# === wrong: the rule before the count | loses a1-best-test
# --- a1-best
def best_pair(counts, names):
    text = lambda pair: names[pair[0]] + names[pair[1]]
    order = {
        "newest": lambda pair: (pair[1], pair[0], counts[pair]),
        "longest": lambda pair: (len(text(pair)), text(pair), counts[pair]),
        "shortest": lambda pair: (-len(text(pair)), counts[pair]),
        "balanced": lambda pair: (-abs(len(names[pair[0]]) - len(names[pair[1]])), pair, counts[pair]),
    }
    return max(counts, key=order[RULE])

# === wrong: the rule of the library, the lowest numbers | loses a1-best-test
# --- a1-best
def best_pair(counts, names):
    return min(counts, key=lambda pair: (-counts[pair], pair))

# === wrong: the second part of the rule is forgotten | loses a1-best-test
# --- a1-best
def best_pair(counts, names):
    size = lambda pair: len(names[pair[0]] + names[pair[1]])
    order = {
        "newest": lambda pair: (counts[pair], pair[1], -pair[0]),
        "longest": lambda pair: (counts[pair], size(pair)),
        "shortest": lambda pair: (counts[pair], -size(pair)),
        "balanced": lambda pair: (counts[pair], -abs(len(names[pair[0]]) - len(names[pair[1]]))),
    }
    return max(counts, key=order[RULE])

# === wrong: in aaa both pairs are merged | loses a1-merge-test
# --- a1-merge
#-             i += 2
#+             i += 1 if tuple(word[i + 1 : i + 3]) == tuple(pair) else 2

# === wrong: only the first occurrence is merged | loses a1-merge-test
# --- a1-merge
def merge(word, pair, new):
    for i in range(len(word) - 1):
        if tuple(word[i : i + 2]) == tuple(pair):
            return tuple(word[:i]) + (new,) + tuple(word[i + 2 :])
    return tuple(word)

# === wrong: the last token is forgotten | loses a1-merge-test
# --- a1-merge
#-     while i < len(word):
#+     while i < len(word) - 1:

# === wrong: the first merge gets number 255 | loses a1-train-test
# --- a1-train
#-         new = len(names)
#+         new = len(names) - 1

# === wrong: words that become equal replace each other | loses a1-train-test
# --- a1-train
def train(text, number):
    words = {tuple(word.encode()): 1 for word in text.split()}
    names, merges = [bytes([i]) for i in range(256)], []
    for _ in range(number):
        counts = count_pairs(words)
        if not counts:
            break
        pair = best_pair(counts, names)
        merges.append(pair)
        names.append(names[pair[0]] + names[pair[1]])
        words = {tuple(merge(word, pair, len(names) - 1)): times for word, times in words.items()}
    return merges

# === wrong: spaces are part of the text | loses a1-train-test
# --- a1-train
def train(text, number):
    words = Counter([tuple(text.encode())])
    names, merges = [bytes([i]) for i in range(256)], []
    for _ in range(number):
        counts = count_pairs(words)
        if not counts:
            break
        pair = best_pair(counts, names)
        merges.append(pair)
        names.append(names[pair[0]] + names[pair[1]])
        words = Counter({tuple(merge(word, pair, len(names) - 1)): n for word, n in words.items()})
    return merges

# === wrong: the leftmost pair first, whenever it was learnt | loses a1-encode-test
# --- a1-encode
#-         pair = min(pairs, key=rank.get)
#-         tokens = tuple(merge(tokens, pair, 256 + rank[pair]))
#+         tokens = tuple(merge(tokens, pairs[0], 256 + rank[pairs[0]]))

# === wrong: letters, not bytes | loses a1-encode-test
# --- a1-encode
#-     """"ab", [(97, 98)] → (256,)."""
#-     tokens, rank = tuple(word.encode()), {pair: i for i, pair in enumerate(merges)}
#+     tokens, rank = tuple(map(ord, word)), {pair: i for i, pair in enumerate(merges)}

# === wrong: each merge is drawn once, for the whole word | loses a1-dropout-test
# --- a1-dropout
def encode_dropout(word, merges, p, random):
    kept = [pair for pair in merges if random.random() >= p]
    tokens, rank = tuple(word.encode()), {pair: i for i, pair in enumerate(merges)}
    while pairs := [pair for pair in zip(tokens, tokens[1:]) if pair in kept]:
        pair = min(pairs, key=rank.get)
        tokens = tuple(merge(tokens, pair, 256 + rank[pair]))
    return tokens

# === wrong: kept with probability p | loses a1-dropout-test
# --- a1-dropout
#-         left = [i for i in places if not random.random() < p]
#+         left = [i for i in places if random.random() < p]

# === wrong: the last part of the rule the other way round | loses a1-best-test
# --- a1-best
def best_pair(counts, names):
    text = lambda pair: names[pair[0]] + names[pair[1]]
    apart = lambda pair: abs(len(names[pair[0]]) - len(names[pair[1]]))
    order = {
        "newest": lambda pair: (counts[pair], pair[1], -pair[0]),
        "longest": lambda pair: (counts[pair], len(text(pair)), text(pair), -pair[0]),
        "shortest": lambda pair: (counts[pair], -len(text(pair)), [-x for x in text(pair)], -pair[0]),
        "balanced": lambda pair: (counts[pair], -apart(pair), pair[0], -pair[1]),
    }
    return max(counts, key=order[RULE])

# === wrong: pairs that occur once are left, as in the notebook | loses a1-train-test
# --- a1-train
#-         if not counts:
#+         if not counts or max(counts.values()) < 2:
#
#-         new = len(names)
#
#-             changed[tuple(merge(word, pair, new))] += times
#+             changed[tuple(merge(word, pair, len(names) - 1))] += times

# === wrong: all places of a pair are merged at once, as in the notebook | loses a1-dropout-test
# --- a1-dropout
#-         at = min(left, key=lambda i: (rank[tokens[i], tokens[i + 1]], i))
#-         tokens[at : at + 2] = [256 + rank[tokens[at], tokens[at + 1]]]
#+         best = min(rank[tokens[i], tokens[i + 1]] for i in left)
#+         for i in reversed([i for i in left if rank[tokens[i], tokens[i + 1]] == best]):
#+             if tuple(tokens[i : i + 2]) == merges[best]:
#+                 tokens[i : i + 2] = [256 + best]
