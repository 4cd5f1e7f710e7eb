"""Faithful paraphrases with their sources, and ways to turn a sentence into one that its source does not support."""

import re
from collections.abc import Callable

_PAIRS = """
Quorum queues copy messages to several nodes.
<- A quorum queue replicates its messages to several nodes.

The time-out defaults to 30 minutes.
<- The default consumer time-out is 30 minutes.

Consumers must acknowledge within 30 minutes by default.
<- By default a consumer must acknowledge a delivery within 30 minutes.

The outbox pattern stores messages in the same transaction as the state.
<- With a transactional outbox, a service stores the outgoing message in an outbox table in the same database
transaction as the state change.

A fencing token grows with each lease.
<- A fencing token is a number that grows with every new lease and lets the storage refuse a worker whose lease
has passed to somebody else.

The storage refuses writes with an older token.
<- The storage remembers the highest fencing token it has seen and rejects any write with a lower one.

Classic queues keep a single copy.
<- A classic queue has had exactly one copy since then, so a classic queue keeps a single copy of each message.

Kafka keeps messages in a log.
<- Kafka stores messages in a log on disk.

Retries use exponential backoff.
<- Retries should use exponential backoff with jitter.

Prefetch limits how many messages a consumer may hold unacknowledged.
<- Prefetch limits the number of unacknowledged messages that a consumer holds.

Dead-letter queues collect messages that could not be processed.
<- A dead-letter queue collects the messages that a consumer could not or should not process, so that they are
neither lost nor tried for ever.

The relay publishes outbox rows and marks them as sent.
<- A relay reads the rows of the outbox table, publishes them and marks them as sent once the broker has
confirmed.

Each retry delay has its own queue.
<- Use one retry queue for each delay rather than one queue with a time to live per message.

Publisher confirms arrive after the message is on disk on a majority of nodes.
<- A quorum queue confirms a message to its publisher only after a majority of members has written the message
to disk.

An exclusive queue belongs to one connection.
<- An exclusive queue may be used by the connection that declared it only: it belongs to one connection.

Jitter spreads retries over time.
<- Jitter is a random part of the delay that spreads retries over time, so that clients do not come back
together.

BM25 ranks documents by term frequency and inverse document frequency.
<- BM25 is a ranking function that scores documents by term frequency, inverse document frequency and document
length.

The supervisor restarts a child that crashed.
<- When a child crashes, its supervisor starts it again.

Messages survive a broker restart when they are persistent and the queue is durable.
<- A message survives a restart of the broker if the queue is durable and the message was published as
persistent.

The saga compensates completed steps when a later one fails.
<- If a step fails, the saga runs compensations for the steps that were completed before it.

Redis stores data in memory.
<- Redis is an in-memory data store.

Without acknowledgements, messages can be lost.
<- Messages may be lost without acknowledgements.

The lease expires after 30 seconds.
<- A lease lasts 30 seconds and then expires.

Ollama listens on port 11434.
<- By default Ollama listens on 127.0.0.1 port 11434.

Writes are slower than reads.
<- Reads are faster than writes.

A topic exchange routes by pattern.
<- A topic exchange routes messages to queues whose binding pattern matches the routing key.

Messages are routed by exchanges.
<- Exchanges route messages to queues.

The consumer stops receiving messages once 20 are unacknowledged.
<- With a prefetch of 20 the broker stops sending messages to a consumer once 20 of them are unacknowledged.

Idempotent handlers can process a message twice without harm.
<- An idempotent handler may process the same message twice with no further effect and without harm.

Acknowledge after the commit.
<- The consumer acknowledges a message only after the transaction has been committed.

The broker blocks publishers if less than 50 MB of disk is free.
<- RabbitMQ also blocks publishers when less than 50 MB of disk space is free, a default that is too low for
production.

Mirrored classic queues were removed in RabbitMQ 4.0.
<- Mirroring of classic queues was removed in RabbitMQ 4.0, so a classic queue has had exactly one copy since
then.

A message is redelivered when its consumer dies before acknowledging it.
<- When a consumer dies before it acknowledged a message, the broker delivers the message again to another
consumer.

Kafka consumers track their position with offsets.
<- A Kafka consumer keeps track of its position in the log by an offset.

Up to three members form a quorum queue by default.
<- A quorum queue has up to three members by default, each on a different node, and one of them is the leader.

The delivery count is kept in the x-delivery-count header.
<- A quorum queue counts failed deliveries in the header `x-delivery-count`; a classic queue keeps no such
count.
"""
PARAPHRASES = [tuple(" ".join(half.split()) for half in pair.split("<-")) for pair in _PAIRS.strip().split("\n\n")]
"""(paraphrase, its source)"""
SOURCES = list(dict.fromkeys(source for _, source in PARAPHRASES))
_OPPOSITES = {
    "before": "after",
    "after": "before",
    "more": "less",
    "less": "more",
    "faster": "slower",
    "older": "newer",
    "highest": "lowest",
    "lower": "higher",
    "same": "different",
    "first": "last",
    "persistent": "transient",
    "durable": "transient",
    "stops": "starts",
    "rejects": "accepts",
    "grows": "shrinks",
    "completed": "failed",
}


def negated(text: str) -> str | None:
    if re.search(r"\bnot\b", text):
        return re.sub(r"\s*\bnot\b", "", text, count=1)
    verb = re.search(r"\b(?:is|are|was|were|may|must|should|has|had)\b", text)
    return f"{text[: verb.end()]} not{text[verb.end() :]}" if verb else None


def renumbered(text: str) -> str | None:
    number = re.search(r"(?<![\w.])\d+(?![\w.]*\d)", text)
    return f"{text[: number.start()]}{int(number[0]) * 3 + 1}{text[number.end() :]}" if number else None


def remeasured(text: str) -> str | None:
    unit = re.search(r"(?<=\d )(minutes|seconds|MB)", text)
    other = {"minutes": "hours", "seconds": "minutes", "MB": "GB"}
    return f"{text[: unit.start()]}{other[unit[0]]}{text[unit.end() :]}" if unit else None


def reversed_trend(text: str) -> str | None:
    for word in re.finditer(r"[a-z-]+", text):
        if word[0] in _OPPOSITES:
            return f"{text[: word.start()]}{_OPPOSITES[word[0]]}{text[word.end() :]}"
    return None


def unhedged(text: str) -> str | None:
    hedge = re.search(r"\b(?:may|up to|could|usually|some) ", text)
    return text[: hedge.start()] + text[hedge.end() :] if hedge else None


def renamed(text: str) -> str | None:
    name = re.search(r"\b(?:Kafka|Redis|RabbitMQ|Ollama|BM25)\b", text)
    return f"{text[: name.start()]}Zephyr{text[name.end() :]}" if name else None


def exchanged(text: str) -> str | None:
    pair = re.search(r"\b(\w{4,}) (?:\w+ ){0,4}?(?:than|before|after|rather than)\b (?:\w+ ){0,2}?(\w{4,})", text)
    if pair is None or pair[1] == pair[2]:
        return None
    (a, b), (c, d) = pair.span(1), pair.span(2)
    return f"{text[:a]}{pair[2]}{text[b:c]}{pair[1]}{text[d:]}"


MUTATIONS: tuple[Callable[[str], str | None], ...] = (
    negated,
    renumbered,
    remeasured,
    reversed_trend,
    unhedged,
    renamed,
    exchanged,
)
