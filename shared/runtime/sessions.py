"""A conversation with a model, kept by inference: what fits of it is sent, the answer comes as it is written.

    async with Client.connect(url) as client:
        talk = await Conversation.open(client, Session(session_id="notes", system="Answer briefly."))
        async with contextlib.aclosing(talk.say("What is a lease?")) as pieces:
            async for piece in pieces:
                ...                                     # Text, Restarted, at last Ended

Whoever is interrupted says the same again: what was answered is in the ledger and costs nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shared.contracts.generation import ChatMessage, Generate, Generated, Inputs
from shared.contracts.message import Done
from shared.contracts.sessions import (
    ANSWER_CHARACTERS,
    KeepTurn,
    OpenSession,
    Session,
    SessionShown,
    ShowSession,
    Summary,
    Turn,
    turn_key,
)
from shared.errors import Rejected, RequestFailed
from shared.runtime.client import Client
from shared.runtime.spending import CHARACTERS
from shared.runtime.tokens import Ended, TokenPiece

MESSAGE_TOKENS = 8
"""What a server's template adds to each message, at most."""
SUMMARY_TOKENS = 400
SUMMARISE = (
    "Summarise the conversation below for somebody who goes on with it: what was asked, what was answered, names, "
    "numbers and decisions. Plain sentences, at most 200 words, nothing that was not said."
)
SO_FAR = "What was said before, summarised: "


@dataclass(frozen=True)
class Fitted:
    """What is sent of a conversation. `dropped`: turns from the beginning that are left out; `without_system`: so is
    the system prompt."""

    messages: tuple[ChatMessage, ...]
    dropped: int
    without_system: bool = False


def tokens_of(*texts: str) -> int:
    """At least as many tokens as these messages have, by a model whose tokens are three characters or more."""
    return sum(-(-len(text) // CHARACTERS) + MESSAGE_TOKENS for text in texts)


def fitted(session: Session, turns: Sequence[Turn], question: str, *, free: int = 0) -> Fitted:
    """The newest turns that fit the context beside question and answer. Pure. Raises Rejected when not even the
    question does. Turns that the session's summary covers are in it, and not sent. `free`: tokens that turns leave."""
    room = session.context - session.max_tokens - tokens_of(question)
    if room < 0:
        limit = max(0, session.context - session.max_tokens - MESSAGE_TOKENS) * CHARACTERS
        raise Rejected(
            f"the question has {len(question):,} characters; {session.context} tokens of context, {session.max_tokens} "
            f"of them for the answer, leave room for about {limit:,}",
            field="question",
            hint="ask with less text, a larger context or a shorter answer",
        )
    covered = session.summary.upto if session.summary else 0
    later = [turn for turn in turns if turn.number > covered]
    head = [text for text in (session.system, SO_FAR + session.summary.text if session.summary else "") if text]
    spoken = [text for turn in later for text in (turn.question, turn.answer)]
    without = session.strategy == "window" and bool(session.system) and tokens_of(*head, *spoken) > room
    if without:  # the oldest of all is the first to go
        head = head[1:]
    room -= tokens_of(*head)
    if room < 0:
        reason = "system prompt, summary, question and answer together do not fit the context"
        raise Rejected(reason, field="system", hint="a shorter one, a larger context, or the strategy `window`")
    kept: list[Turn] = []
    room -= free
    for turn in reversed(later):
        room -= tokens_of(turn.question, turn.answer)
        if room < 0:
            break
        kept.insert(0, turn)
    said = [message for turn in kept for message in _messages(turn)]
    first = [ChatMessage(role="system", content=text) for text in head]
    return Fitted((*first, *said, _user(question)), dropped=len(later) - len(kept), without_system=without)


def _messages(turn: Turn) -> list[ChatMessage]:
    return [_user(turn.question), ChatMessage(role="assistant", content=turn.answer)]


def _user(text: str) -> ChatMessage:
    return ChatMessage(role="user", content=text)


@dataclass
class Conversation:
    """`turns`: all there are. Not for two tasks at once."""

    client: Client
    session: Session
    turns: list[Turn] = field(default_factory=list)
    deadline_s: float = 1800.0
    """For one answer, queueing included."""

    @classmethod
    async def open(cls, client: Client, session: Session) -> Conversation:
        """Begins a session, or goes on with the one that has this id, whose settings stay what they are."""
        shown = await client.ask(OpenSession(session=session), SessionShown)
        talk = cls(client, shown.session)
        await talk.reload()
        return talk

    async def reload(self) -> None:
        """What others have said in it meanwhile. Raises RequestFailed (`no_session`)."""
        self.turns = []
        while True:
            after = self.turns[-1].number if self.turns else 0
            shown = await self.client.ask(ShowSession(session_id=self.session.session_id, after=after), SessionShown)
            self.session = shown.session
            self.turns += shown.turns
            if not shown.more or not shown.turns:
                return

    async def say(self, question: str) -> AsyncGenerator[TokenPiece, None]:
        """The answer while it is written; it is kept once it is whole. Not kept is one that failed: `Ended` says why.

        Raises Rejected when the question does not fit, RequestFailed (`taken`) when the session went on elsewhere: the
        question was answered and not kept, `reload` and say it again.
        """
        number = len(self.turns) + 1
        summary = await self._summary(number, question)
        session = self.session.model_copy(update={"summary": summary or self.session.summary})
        request = self._request(number, question, fitted(session, self.turns, question).messages)
        async with contextlib.aclosing(self.client.tokens(request, deadline_s=self.deadline_s)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Ended):
                    await self._keep(number, question, piece.result, summary)
                yield piece

    async def _summary(self, number: int, question: str) -> Summary | None:
        """Of what does not fit any more, where that is wanted. One that fails is no summary: the turns are left out."""
        if self.session.strategy != "summarise":
            return None
        if not fitted(self.session, self.turns, question).dropped:
            return None
        dropped = fitted(self.session, self.turns, question, free=SUMMARY_TOKENS + MESSAGE_TOKENS).dropped
        covered = self.session.summary.upto if self.session.summary else 0
        gone = [turn for turn in self.turns if turn.number > covered][:dropped]
        said = [f"{SO_FAR}{self.session.summary.text}"] if self.session.summary else []
        said += [f"User: {turn.question}\nAssistant: {turn.answer}" for turn in gone]
        room = (self.session.context - SUMMARY_TOKENS - tokens_of(SUMMARISE, "")) * CHARACTERS
        each = max(1, room // len(said) - 2)  # where it is too much, a piece of each rather than the last ones whole
        messages = (ChatMessage(role="system", content=SUMMARISE), _user("\n\n".join(text[:each] for text in said)))
        request = self._request(number, question, messages, part=1).model_copy(
            update={"max_tokens": SUMMARY_TOKENS, "temperature": 0.0}
        )
        answer = await self.client.ask(request, Generated, deadline_s=self.deadline_s)
        if answer.finish not in ("stop", "length") or not answer.text.strip():
            return None
        return Summary(upto=gone[-1].number, text=answer.text.strip()[:ANSWER_CHARACTERS])

    def _request(self, number: int, question: str, messages: tuple[ChatMessage, ...], *, part: int = 0) -> Generate:
        session = self.session
        return Generate(
            call=turn_key(session.session_id, number, question, part=part),
            engine=session.engine,
            messages=messages,
            inputs=Inputs(question=question),
            max_tokens=session.max_tokens,
            temperature=session.temperature,
            sensitivity=session.sensitivity,
        )

    async def _keep(self, number: int, question: str, result: Generated, summary: Summary | None) -> None:
        if result.finish not in ("stop", "length"):
            return
        turn = Turn(
            number=number,
            question=question,
            answer=result.text[:ANSWER_CHARACTERS],
            cut=result.finish == "length" or len(result.text) > ANSWER_CHARACTERS,
            engine=result.engine,
            usage=result.usage,
            at=datetime.now(UTC),
        )
        keep = KeepTurn(session_id=self.session.session_id, turn=turn, summary=summary)
        await self.client.ask(keep, Done)
        self.turns.append(turn)
        title = self.session.title or question[:80]
        kept = {"turns": number, "title": title, "summary": summary or self.session.summary}
        self.session = self.session.model_copy(update=kept)


def went_on(error: RequestFailed) -> bool:
    """Was the turn not kept because somebody else has gone on with the session?"""
    return error.kind in ("taken", "not_next")
