"""Several conversations as one."""

from collections.abc import Sequence
from typing import Any

from castream_jax.compute.questions import Again, Answer, Conversation, Question, Search


def together(*conversations: Conversation) -> Conversation:
    """Lead several conversations as one, and return what each found: what they ask in a round is asked together."""
    results: list[Any] = [None] * len(conversations)
    answers: dict[int, Sequence[Answer] | None] = dict.fromkeys(range(len(conversations)))
    while answers:
        waiting: dict[int, Sequence[Question | Search | Again]] = {}
        for place, own in answers.items():
            try:
                waiting[place] = next(conversations[place]) if own is None else conversations[place].send(own)
            except StopIteration as end:
                results[place] = end.value
        if not waiting:
            break
        found = iter((yield [question for questions in waiting.values() for question in questions]))
        answers = {place: [next(found) for _ in questions] for place, questions in waiting.items()}
    return results
