"""The knobs of the generative story, which ``dferc.corpus.synthetic`` tells."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

EMOTIONS = ("neutral", "joy", "sadness", "anger", "surprise", "fear")
MODALITIES = ("text", "audio", "visual")


class Channel(BaseModel):
    """How one modality records an utterance."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(ge=4, description="numbers in one vector")
    strength: float = Field(
        ge=0, description="how far the displays of different emotions lie apart, in units of the latent noise"
    )
    failure: float = Field(ge=0, le=1, description="share of utterances in which the channel works badly")


class SyntheticConfig(BaseModel):
    """Everything that a synthetic corpus depends on: the same config makes the same corpus."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(0, ge=0, description="of the world and of the conversations; splits are part of them")
    train_dialogues: int = Field(160, ge=1)
    validation_dialogues: int = Field(40, ge=1)
    test_dialogues: int = Field(80, ge=1)
    shortest: int = Field(8, ge=1, description="utterances of the shortest dialogue")
    longest: int = Field(24, ge=1, description="utterances of the longest dialogue")

    characters: int = Field(24, ge=2, description="people who recur in all dialogues and all splits, as in a TV series")
    most_parties: int = Field(3, ge=2, description="most people in one dialogue; the fewest are two")
    turn_change: float = Field(0.75, ge=0, le=1, description="chance that somebody else speaks next")
    prior: tuple[float, ...] = Field(
        (0.40, 0.17, 0.11, 0.14, 0.12, 0.06), description=f"share of each emotion: {', '.join(EMOTIONS)}"
    )
    temperament: float = Field(
        20, gt=0, description="how alike the characters' moods are: Dirichlet concentration around the prior"
    )
    inertia: float = Field(
        0.50, ge=0, le=1, description="chance that a speaker stays in the emotion of the last own utterance"
    )
    contagion: float = Field(
        0.38, ge=0, le=1, description="chance that a speaker catches the emotion of the utterance before"
    )

    ambiguous: float = Field(0.20, ge=0, le=1, description="share of utterances that no channel records well")
    conflict: float = Field(
        0.20, ge=0, le=1, description="share of utterances whose text and whose voice and face disagree"
    )
    text_misleads: float = Field(
        0.5, ge=0, le=1, description="share of conflicts in which the text is wrong (sarcasm), not the rest"
    )
    missing: float = Field(0.04, ge=0, le=1, description="share of utterances that lack one modality")

    text: Channel = Channel(width=48, strength=6.5, failure=0.35)
    audio: Channel = Channel(width=32, strength=5.5, failure=0.45)
    visual: Channel = Channel(width=24, strength=5.5, failure=0.45)
    displays: int = Field(
        2, ge=1, description="ways in which an emotion can show in a channel; more make it less linear"
    )
    speaker_offset: float = Field(0.6, ge=0, description="spread between speakers, in units of the latent noise")
    scene: float = Field(
        0.8, ge=0, description="spread between dialogues (room, light, topic), in units of the latent noise"
    )
    noise: float = Field(0.3, ge=0, description="noise on each recorded number, whose spread is about 1")

    @property
    def channels(self) -> dict[str, Channel]:
        """Modality to channel, in the order of the corpus."""
        return {"text": self.text, "audio": self.audio, "visual": self.visual}

    @property
    def dialogues(self) -> int:
        """Dialogues of all splits."""
        return self.train_dialogues + self.validation_dialogues + self.test_dialogues

    @model_validator(mode="after")
    def _possible(self) -> Self:
        problems = {
            "shortest must not exceed longest": self.shortest > self.longest,
            "most_parties must not exceed characters": self.most_parties > self.characters,
            "inertia + contagion must not exceed 1": self.inertia + self.contagion > 1,
            "ambiguous + conflict must not exceed 1": self.ambiguous + self.conflict > 1,
            f"prior must be {len(EMOTIONS)} positive shares that sum to 1": (
                len(self.prior) != len(EMOTIONS) or min(self.prior) <= 0 or abs(sum(self.prior) - 1) > 1e-6
            ),
        }
        found = [problem for problem, holds in problems.items() if holds]
        if found:
            raise ValueError("; ".join(found))
        return self
