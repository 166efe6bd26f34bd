"""Records what each party of a private join sees: every message in and out, and what it opens of what it is sent.

The parties are real ones. A recorded party may be made to leak in one of several ways, so that a test of its
transcript can be seen to fail.
"""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from middleplatform.crypto.blinded import POINT_BYTES
from middleplatform.crypto.messages import Hello, LabelList
from middleplatform.errors import MiddleplatformError
from middleplatform.wire.join_lists import GroupLists, GroupSums, ListHead, ListPart, Points

_POINTS = b"MPJL1B"


@dataclass(frozen=True)
class Message:
    """One call of a party, and its answer; None where it refused."""

    party: str
    step: str
    told: tuple
    reply: object = None


@dataclass(frozen=True)
class Opened:
    """What a party found in bytes that another sealed for it."""

    party: str
    sender: str
    purpose: str
    content: object


@dataclass
class Transcript:
    """All messages of a round in the order in which they ended, and what parties keep to themselves.

    Attributes:
        messages: What the gateway sees.
        opened: What parties open.
        secrets: By department, the token of each identifier: known to the test only.
        numbers: By department, what it multiplies points by: known to the test only.
    """

    messages: list[Message] = field(default_factory=list)
    opened: list[Opened] = field(default_factory=list)
    secrets: dict[str, dict[str, bytes]] = field(default_factory=dict)
    numbers: dict[str, object] = field(default_factory=dict)

    def of(self, party, step=""):
        """Return a party's messages, of one step if it is said."""
        return [each for each in self.messages if each.party == party and step in ("", each.step)]

    def parties(self):
        return sorted({each.party for each in self.messages})

    def shapes(self, party):
        """Return the steps of a party and the length of all that it was told and said, in order."""
        return [(each.step, shape(each.told), shape(each.reply)) for each in self.of(party)]

    # --- the gateway's view -----------------------------------------------------------------------------------------

    def context(self):
        """Return the digest of the round, which every message begins with."""
        return Hello.from_bytes(self.of(self.parties()[0], "join_open")[0].reply).context_digest

    def raw(self):
        """Return every byte that the gateway sees."""
        return b"\0".join(raw for each in self.messages for raw in pieces((each.told, each.reply)))

    def heads(self):
        steps = [each for each in self.messages if each.step == "join_list" and each.reply]
        return {each.party: ListHead.from_bytes(each.reply) for each in steps}

    def parts(self, name):
        head = self.heads()[name]
        return [ListPart.from_bytes(each.reply, head) for each in self.of(name, "join_rows")]

    def column(self, name, column):
        """Return one column of a department's whole list."""
        return np.concatenate([getattr(each, column) for each in self.parts(name)])

    def tokens(self, name):
        """Return the tokens of a department's rows, as the gateway matches them."""
        for each in self.messages:
            blinded = each.step == "join_blind" and each.told[1] == name and each.reply
            if blinded and each.reply.startswith(_POINTS):
                return Points.from_bytes(each.reply).values[self.column(name, "places")]
        return self.column(name, "tokens")

    def labels(self):
        """Return the labels that the gateway was told, by department and code."""
        found = {}
        for each in self.messages:
            if each.step == "join_reveal" and each.reply:
                said = LabelList.from_bytes(each.reply[0])
                found[each.party] = dict(zip(said.codes, said.labels, strict=True))
        return found

    # --- helpers and departments --------------------------------------------------------------------------------------

    def groups(self, side):
        """Return what the helper of a side was asked, or None where it was not."""
        asked = (
            each for each in self.messages if each.step == "join_sums" and each.told[1] == side
        )
        return next((GroupLists.from_bytes(each.told[2]) for each in asked), None)

    def sums(self, side):
        """Return what the helper of a side said."""
        (said,) = (each for each in self.messages if each.step == "join_sums" and each.told[1] == side)  # fmt: skip
        asked = GroupLists.from_bytes(said.told[2])
        width = self.heads()[asked.owners[0]].width
        return GroupSums.from_bytes(said.reply, asked.groups, width).words

    def places(self, side):
        """Return the places of each group of a side, owner by owner."""
        asked = self.groups(side)
        return [
            [at[starts[n] : starts[n + 1]].astype(int) for n in range(asked.groups)]
            for starts, at in zip(asked.starts, asked.positions, strict=True)
        ]

    def points(self, party):
        """Return the lists of points that a department opened, by (sender, purpose)."""
        return {
            (each.sender, each.purpose): np.frombuffer(each.content, np.uint8).reshape(-1, POINT_BYTES)
            for each in self.opened
            if each.party == party and each.purpose.startswith("points/")
        }  # fmt: skip


def shape(value):
    """Return what stays of a message when only lengths and plain numbers are looked at."""
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [shape(each) for each in value]
    return len(value) if isinstance(value, str) else value


def pieces(value):
    """Yield all bytes of a message."""
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, str):
        yield value.encode()
    elif isinstance(value, dict):
        yield from pieces(list(value.items()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from pieces(each)


class Recorded:
    """A link that writes down every call of a private join."""

    def __init__(self, link, transcript, rounds=None, leak=None):
        self.link, self.transcript, self.rounds, self.leak = link, transcript, rounds, leak
        self.department = link.department

    def __getattr__(self, step):
        real = getattr(self.link, step)
        if not step.startswith("join_"):
            return real

        async def call(*told):
            said = None
            try:
                said = await real(*told)
                if step in ("join_open", "join_list") and self.rounds is not None:
                    self._watch()
            finally:
                self.transcript.messages.append(Message(self.department, step, told, said))
            return said

        return call

    def _watch(self):
        for entry in self.rounds._rounds._entries.values():
            current = entry.content
            if not isinstance(current.party, Watched):
                kind = self.leak or Watched
                current.party = kind(current.party, self.department, self.transcript)
            if current.blinding is not None:
                self.transcript.numbers[self.department] = current.blinding._key


class Watched:
    """A party whose openings are written down; otherwise the party itself."""

    def __init__(self, party, name, transcript):
        self._party, self._name, self._transcript = party, name, transcript

    def __getattr__(self, name):
        return getattr(self._party, name)

    def open_from(self, sender, purpose, raw):
        content = self._party.open_from(sender, purpose, raw)
        self._transcript.opened.append(Opened(self._name, sender, purpose, content))
        return content

    def accept_count_note(self, owner, side, raw):
        shape = self._party.accept_count_note(owner, side, raw)
        self._transcript.opened.append(Opened(self._name, owner, f"count note {side}", shape))
        return shape

    def tokens(self, identifiers, domain):
        found = self._party.tokens(identifiers, domain)
        names = identifiers.to_pylist()
        known = {name: token.tobytes() for name, token in zip(names, found, strict=True)}
        self._transcript.secrets[self._name] = known
        return found


# --- leaking variants: each must fail a test ------------------------------------------------------------------------


class Unmasked(Watched):
    """Sends its words as they are."""

    def mask(self, words, side, helper):
        self._party.mask(words, side, helper)
        return words


class HalfMasked(Watched):
    """Masks the low half of each word only."""

    def mask(self, words, side, helper):
        masked = self._party.mask(words, side, helper)
        low = np.uint64(0xFFFF_FFFF)
        return (masked & low) | (words & ~low)


class OneMask(Watched):
    """Uses the first row's mask for every row."""

    def mask(self, words, side, helper):
        mask = words - self._party.mask(words, side, helper)
        return words - mask[:1]


class Unshuffled(Watched):
    """Sends its rows in the order of its table."""

    def permutation(self, count):
        return np.arange(count)


class Hashed(Watched):
    """Sends hashes of identifiers in the place of tokens."""

    def tokens(self, identifiers, domain):
        super().tokens(identifiers, domain)
        digests = [hashlib.sha256(name.encode()).digest()[:16] for name in identifiers.to_pylist()]
        return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16)


class NamedCodes(Watched):
    """Sends hashes of labels in the place of keyed codes."""

    def codes(self, labels, side, *, shared):
        self._party.codes(labels, side, shared=shared)
        return [hashlib.sha256(label).digest()[:16] for label in labels]


class Texts(Watched):
    """Sends the first characters of identifiers in the place of tokens."""

    def tokens(self, identifiers, domain):
        super().tokens(identifiers, domain)
        texts = b"".join(name.encode()[-16:].rjust(16) for name in identifiers.to_pylist())
        return np.frombuffer(texts, np.uint8).reshape(-1, 16)


def record(joined, sql, leaks=None):
    """Ask a question; return the transcript of all parties and the answer, None where the question failed.

    Args:
        joined: A gateway and its parties, ``made_joined.Joined``.
        sql: The question.
        leaks: Which variant of a party leaks, by name.
    """
    transcript = Transcript()
    links = {
        name: Recorded(link, transcript, joined.parties.rounds[name], (leaks or {}).get(name))
        for name, link in joined.links.items()
    }
    joined.use(**links)
    try:
        return transcript, joined.ask(sql)
    except MiddleplatformError:
        if not leaks:  # masks that a leaking party left out make totals that cannot be
            raise
        return transcript, None
    finally:
        joined.use()


# --- what differs between two ----------------------------------------------------------------------------------------


def facts(transcript):
    """Return every field of every party's messages, by (party, field); what a gateway derives is not among them."""
    found = {}
    for party in transcript.parties():
        for each in transcript.of(party):
            found |= {(party, field): content for field, content in _said(each)}
        found |= {(party, f"opened {each.purpose}"): _content(each) for each in transcript.opened if each.party == party}  # fmt: skip
    for name, head in transcript.heads().items():
        for told in ("rows", "parts", "width", "seconds", "short", "codes", "missing", "note", "marks"):  # fmt: skip
            found[name, f"head {told}"] = getattr(head, told)
        found[name, "tokens"] = transcript.tokens(name).tolist()
        found[name, "codes"] = transcript.column(name, "codes").tolist()
        found[name, "words"] = transcript.column(name, "words").tolist()
    for each in transcript.messages:
        if each.step == "join_sums":
            side = each.told[1]
            places = transcript.places(side)
            found[each.party, f"sizes {side}"] = [[len(group) for group in owner] for owner in places]  # fmt: skip
            found[each.party, f"places {side}"] = [[group.tolist() for group in owner] for owner in places]  # fmt: skip
            found[each.party, f"notes {side}"] = transcript.groups(side).notes
            found[each.party, f"marks {side}"] = transcript.groups(side).marks
            found[each.party, f"sums {side}"] = transcript.sums(side).tolist()
    return found


def _said(message):
    """Yield the fields of what was said but for lists and groups, which are taken apart elsewhere."""
    both = message.told, message.reply
    if message.step in ("join_open", "join_agree"):
        yield message.step, both
    elif message.step == "join_points":
        yield "own points", shape(both)
    elif message.step == "join_blind" and not message.reply.startswith(_POINTS):
        yield f"points of {message.told[1]}", shape(both)
    elif message.step == "join_reveal":
        yield "labels", message.reply[0]
        yield "receipt", message.reply[1]


def _content(opened):
    """Points under way are random: their number is what a party learns."""
    return len(opened.content) if opened.purpose.startswith("points/") else opened.content


def differences(one, other):
    """Return the (party, field) of two transcripts that are not equal; a field that only one has counts too."""
    left, right = facts(one), facts(other)
    return {each for each in left.keys() | right.keys() if left.get(each) != right.get(each)}
