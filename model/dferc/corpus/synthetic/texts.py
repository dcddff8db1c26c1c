"""Short transcripts that show what the text channel shows, so that text encoders have something to read."""

import numpy as np

WORDS = {
    "neutral": "ordinary usual normal regular plain average typical standard",
    "joy": "wonderful lovely delightful fantastic brilliant sweet perfect hilarious",
    "sadness": "sad lonely hopeless gloomy heartbreaking miserable tragic bleak",
    "anger": "outrageous infuriating unfair disgraceful annoying insulting maddening rotten",
    "surprise": "unbelievable unexpected astonishing sudden shocking incredible startling amazing",
    "fear": "scary terrifying dangerous creepy threatening frightening risky alarming",
}
"""Words of each emotion."""
VAGUE = "over there new old big small blue late next long"
OPENINGS = ("Well,", "You know,", "I mean,", "Look,", "So,", "Listen,", "Right,", "Oh,")
TOPICS = (
    "coffee letter party job dinner phone call wedding trip apartment movie sandwich doctor game present neighbour song"
)
SENTENCES = (
    "{opening} the {topic} is {first} and {second}.",
    "{opening} what a {first}, {second} {topic}.",
    "The {topic}? It was {first}, really {second}.",
    "{opening} I call that {topic} {first}, even {second}.",
)


def write(random: np.random.Generator, apparent: list[str], reliability: np.ndarray) -> list[str]:
    """A sentence an utterance; each of two words fits the apparent emotion with the chance ``reliability`` [N]."""
    topics, vague = TOPICS.split(), VAGUE.split()
    lexicon = {emotion: words.split() for emotion, words in WORDS.items()}
    telling = random.random((len(apparent), 2)) < reliability[:, None]
    picks = random.integers(1 << 30, size=(len(apparent), 5))
    texts = []
    for emotion, tells, (sentence, opening, topic, *places) in zip(apparent, telling, picks, strict=True):
        words = [lexicon[emotion] if told else vague for told in tells]
        first, second = (choice[place % len(choice)] for choice, place in zip(words, places, strict=True))
        texts.append(
            SENTENCES[sentence % len(SENTENCES)].format(
                opening=OPENINGS[opening % len(OPENINGS)], topic=topics[topic % len(topics)], first=first, second=second
            )
        )
    return texts
