from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
)

from dferc.corpus import Corpus, CorpusCard, Dialogue, TokenBlocks, collate, corpus_schema
from dferc.encoders.text import TextEncoder, TextPacker
from dferc.errors import UserError

SENTENCES = (
    "oh my god what happened",
    "nothing happened at all",
    "you are so funny",
    "i am not",
    "god no",
    "<pad> </s>",
)
WORDS = sorted({word for sentence in SENTENCES for word in sentence.split()})


SPECIAL = {"cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>"}  # ids 0 to 3


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Word pieces learned from a few sentences, with RoBERTa's ids of the special tokens."""
    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(vocab_size=60, special_tokens=list(SPECIAL.values()), show_progress=False),
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL)


TOKENIZER = make_tokenizer()
SIZES = {
    "vocab_size": 64,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "pad_token_id": 1,
}


def save_roberta(folder: Path) -> None:
    RobertaForMaskedLM(RobertaConfig(max_position_embeddings=34, type_vocab_size=1, **SIZES)).save_pretrained(folder)


def save_bert(folder: Path) -> None:
    BertModel(BertConfig(max_position_embeddings=32, type_vocab_size=2, **SIZES)).save_pretrained(folder)


@pytest.fixture(params=[save_roberta, save_bert], ids=["roberta", "bert"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    request.param(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    return tmp_path


def corpus_of(dialogues: list[list[str]]) -> Corpus:
    rows = [(f"d{i:03}", turn, text) for i, texts in enumerate(dialogues) for turn, text in enumerate(texts)]
    card = CorpusCard(name="t", labels=("a", "b"), modalities={}, source="-", licence="-", split_note="-")
    columns = {
        "dialogue": [d for d, _, _ in rows],
        "turn": [turn for _, turn, _ in rows],
        "speaker": ["s"] * len(rows),
        "label": [0] * len(rows),
        "split": ["train"] * len(rows),
        "text": [text for _, _, text in rows],
    }
    return Corpus.from_table(pa.table(columns, schema=corpus_schema(card)))


CONVERSATIONS = [
    ["oh my god", "what", "", "nothing happened at all", "you are so funny " * 4, "i am not"],
    ["god no"],
    ["you are so funny", "i am not", "oh", "what happened"],
]
TEXTS = st.lists(st.sampled_from([*WORDS, "unheard-of", " "]), max_size=14).map(" ".join)
DIALOGUES = st.lists(st.lists(TEXTS, max_size=6).map(lambda texts: [*texts, "god"]), min_size=1, max_size=4)


def packed(dialogues: list[list[str]], max_tokens: int) -> TokenBlocks:
    corpus = corpus_of(dialogues)
    return TextPacker(TOKENIZER, max_tokens).pack(corpus, corpus.dialogues)


def tokenised(text: str, room: int) -> list[int]:
    ids = TOKENIZER(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return ids[:room] or [TOKENIZER.unk_token_id]


@given(DIALOGUES, st.integers(3, 20))
def test_packing(dialogues: list[list[str]], max_tokens: int) -> None:
    blocks = packed(dialogues, max_tokens)
    expected = [tokenised(text, max_tokens - 2) for dialogue in dialogues for text in dialogue]
    flat = blocks.ids.flatten().tolist()

    spans = list(zip(blocks.first.tolist(), blocks.last.tolist(), strict=True))
    assert [flat[first : last + 1] for first, last in spans] == expected  # every utterance once, whole, in order
    assert all(first // blocks.ids.shape[1] == last // blocks.ids.shape[1] for first, last in spans)  # in one block
    assert blocks.ids.shape[1] <= max_tokens

    real = [row[mask].tolist() for row, mask in zip(blocks.ids, blocks.mask, strict=True)]
    assert all((row[0], row[-1]) == (TOKENIZER.cls_token_id, TOKENIZER.sep_token_id) for row in real)
    inside = [token for row in real for token in row[1:-1]]
    assert inside == [token for tokens in expected for token in tokens]  # and nothing else
    assert (blocks.ids[~blocks.mask] == TOKENIZER.pad_token_id).all()
    assert (blocks.mask.int().diff(dim=1) <= 0).all()  # padding only at the end


@given(DIALOGUES, st.integers(3, 20))
def test_blocks_are_full_and_hold_one_dialogue(dialogues: list[list[str]], max_tokens: int) -> None:
    blocks = packed(dialogues, max_tokens)
    length = blocks.ids.shape[1]
    of_block = (blocks.first // length).tolist()
    used = (blocks.last % length + 2).tolist()  # up to here, with both markers
    of_dialogue = [i for i, texts in enumerate(dialogues) for _ in texts]
    sizes = (blocks.last - blocks.first + 1).tolist()
    for utterance in range(1, len(sizes)):
        moved_on = of_block[utterance] != of_block[utterance - 1]
        same_dialogue = of_dialogue[utterance] == of_dialogue[utterance - 1]
        full = used[utterance - 1] + sizes[utterance] > max_tokens
        assert moved_on == (full or not same_dialogue)


def test_special_tokens_in_a_transcript_are_text() -> None:
    blocks = packed([["<pad> </s>"]], 20)
    inside = blocks.ids[0, 1:-1].tolist()
    assert not {TOKENIZER.pad_token_id, TOKENIZER.sep_token_id} & set(inside)
    assert len(inside) > 2


def test_transcripts_are_tokenised_once() -> None:
    corpus = corpus_of(CONVERSATIONS)
    calls: list[list[str]] = []

    class Counting:
        cls_token_id, pad_token_id, sep_token_id, unk_token_id = 0, 1, 2, 3

        def __call__(self, texts: list[str], **options: object) -> dict[str, list[list[int]]]:
            calls.append(texts)
            return TOKENIZER(texts, **options)

    packer = TextPacker(Counting(), 16)
    first = packer.pack(corpus, corpus.dialogues)
    assert torch.equal(packer.pack(corpus, corpus.dialogues).ids, first.ids)
    assert len(calls) == 1


def test_subset_of_dialogues_is_packed_in_the_order_given() -> None:
    corpus = corpus_of(CONVERSATIONS)
    blocks = TextPacker(TOKENIZER, 16).pack(corpus, [corpus.dialogues[1], corpus.dialogues[0]])
    assert len(blocks.first) == 7
    assert blocks.ids[0, blocks.first[0]] == tokenised("god no", 14)[0]


def by_hand(encoder: TextEncoder, dialogues: list[list[str]], max_tokens: int) -> torch.Tensor:
    """Utterance vectors [N, D], a block at a time, without padding."""
    vectors = []
    for texts in dialogues:
        block: list[list[int]] = []
        for number, text in enumerate(texts):
            block.append(tokenised(text, max_tokens - 2))
            follows = tokenised(texts[number + 1], max_tokens - 2) if number + 1 < len(texts) else None
            if follows is None or sum(map(len, block)) + len(follows) > max_tokens - 2:
                ids = [TOKENIZER.cls_token_id, *(i for utterance in block for i in utterance), TOKENIZER.sep_token_id]
                states = encoder.transformer(torch.tensor([ids])).last_hidden_state[0]
                at = 1
                for utterance in block:
                    vectors.append((states[at] + states[at + len(utterance) - 1]) / 2)
                    at += len(utterance)
                block = []
    return torch.stack(vectors)


@pytest.mark.parametrize("max_tokens", [10, 32])
def test_equals_a_block_at_a_time(folder: Path, max_tokens: int) -> None:
    encoder = TextEncoder(str(folder), max_tokens)
    corpus = corpus_of(CONVERSATIONS)
    vectors = encoder(encoder.packer().pack(corpus, corpus.dialogues))
    assert vectors.shape == (11, encoder.width)
    torch.testing.assert_close(vectors, by_hand(encoder, CONVERSATIONS, max_tokens), atol=1e-5, rtol=0)


def test_other_dialogues_of_the_batch_change_nothing(folder: Path) -> None:
    encoder = TextEncoder(str(folder), 32)
    corpus = corpus_of(CONVERSATIONS)

    def encode(dialogues: tuple[Dialogue, ...]) -> torch.Tensor:
        return encoder(collate(corpus, dialogues, (), encoder.packer()).tokens)

    torch.testing.assert_close(
        encode(corpus.dialogues), torch.cat([encode((d,)) for d in corpus.dialogues]), atol=1e-5, rtol=0
    )


def test_utterance_sees_its_dialogue(folder: Path) -> None:
    encoder = TextEncoder(str(folder), 32)
    corpus = corpus_of([["god no", "i am not"], ["oh my god", "i am not"]])
    vectors = encoder(encoder.packer().pack(corpus, corpus.dialogues))
    assert (vectors[1] - vectors[3]).abs().max() > 1e-3


@pytest.mark.parametrize("gradient_checkpointing", [False, True])
def test_gradients_reach_every_layer(folder: Path, gradient_checkpointing: bool) -> None:
    encoder = TextEncoder(str(folder), 32, gradient_checkpointing).train()
    corpus = corpus_of(CONVERSATIONS)
    encoder(encoder.packer().pack(corpus, corpus.dialogues)).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        if "key.bias" not in name:  # softmax does not see it
            assert parameter.grad.abs().sum() > 0, name


def test_worker_without_a_dialogue_keeps_step(folder: Path) -> None:
    encoder = TextEncoder(str(folder), 32)
    vectors = encoder(collate(corpus_of(CONVERSATIONS), [], (), encoder.packer()).tokens)
    assert vectors.shape == (0, 16)
    vectors.sum().backward()


def refused(make: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        make()
    return str(caught.value)


def test_more_tokens_than_positions_are_refused(folder: Path) -> None:
    assert "max_tokens = 33 is more than the 32 positions" in refused(lambda: TextEncoder(str(folder), 33))


def test_config_without_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert "model.safetensors" in refused(lambda: TextEncoder(str(folder), 32))


def test_weights_that_lack_a_layer_are_refused(tmp_path: Path) -> None:
    save_bert(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    BertConfig(max_position_embeddings=32, **(SIZES | {"num_hidden_layers": 3})).save_pretrained(tmp_path)
    assert "are not whole: 16 tensors are missing, the first is encoder.layer.2." in refused(
        lambda: TextEncoder(str(tmp_path), 32)
    )


def test_pickled_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    assert "cannot be loaded" in refused(lambda: TextEncoder(str(folder), 32))


def test_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    message = refused(lambda: TextEncoder(str(tmp_path / "nowhere")))
    assert "nowhere" in message
    assert "give a folder with config.json" in message


def test_model_that_cannot_be_downloaded_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "the name of a model that can be downloaded" in refused(lambda: TextEncoder("nobody/no-such-encoder"))


def test_tokenizer_without_markers_is_refused() -> None:
    bare = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()))
    assert "has no cls_token, sep_token, unk_token, pad_token" in refused(lambda: TextPacker(bare, 16))


def test_block_without_room_is_refused() -> None:
    assert "max_tokens = 2 leaves no room" in refused(lambda: TextPacker(TOKENIZER, 2))


def test_tokens_are_integers_and_masks_are_truth_values() -> None:
    blocks = packed(CONVERSATIONS, 16)
    assert blocks.ids.dtype == blocks.first.dtype == torch.int64
    assert blocks.mask.dtype == torch.bool
    assert np.diff(blocks.first.numpy()).min() > 0
