"""COMET's vectors: against the library's own forward pass, one question at a time, as published programs take them."""

from functools import cache
from itertools import combinations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tokenizers import ByteLevelBPETokenizer, Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    BartTokenizer,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5ForConditionalGeneration,
)

from dferc.encoders.comet import CometExtraction, CometExtractor, by_relation
from dferc.encoders.comet_questions import Questions
from dferc.errors import UserError

SPECIAL = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
TEXTS = ["oh my god", "nothing", "what happened at all", "you are so so funny", "god", "oh oh oh oh what"]
WORDS = sorted({word for text in TEXTS for word in text.split()})
NINE = ("xIntent", "xAttr", "xNeed", "xWant", "xEffect", "xReact", "oWant", "oEffect", "oReact")
KINDS = ("bart", "bart-bpe", "t5")


def save_words(folder):
    """A tokenizer of whole words that puts markers around a sequence."""
    vocabulary = {word: i for i, word in enumerate([*SPECIAL.values(), *WORDS, *NINE, "[", "GEN", "]"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 0), ("</s>", 2)])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL).save_pretrained(folder)
    return len(vocabulary)


def save_pieces(folder):
    """A tokenizer like that of COMET's BART: pieces of words that own the space before them, and added tokens."""
    trained = ByteLevelBPETokenizer()
    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained.train_from_iterator(TEXTS * 3, vocab_size=290, min_frequency=2, special_tokens=marks)
    trained.save_model(str(folder))
    tokenizer = BartTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([*NINE, "[GEN]"])
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def save_comet(folder, kind="bart", seed=0, **saving):
    folder.mkdir(parents=True)
    size = save_pieces(folder) if kind == "bart-bpe" else save_words(folder)
    torch.manual_seed(seed)
    if kind == "t5":
        sizes = {"d_ff": 24, "d_kv": 8, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 1}
        model = T5ForConditionalGeneration(T5Config(vocab_size=size, d_model=16, pad_token_id=1, **sizes))
    else:
        sizes = {f"{part}_{name}": n for part in ("encoder", "decoder") for name, n in (("layers", 1), ("ffn_dim", 24))}
        heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 40}
        model = BartForConditionalGeneration(BartConfig(vocab_size=size, d_model=16, init_std=0.5, **sizes, **heads))
    model.save_pretrained(folder, **saving)
    return str(folder)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comet")
    return {kind: save_comet(folder / kind, kind) for kind in KINDS}


def extract(conversation, texts, source, **options):
    config = CometExtraction(source=source, **{"max_tokens": 32, **options})
    return CometExtractor(config).extract(conversation(texts=texts))


@cache
def loaded(source):
    return AutoTokenizer.from_pretrained(source), AutoModelForSeq2SeqLM.from_pretrained(source).eval()


def answer(source, question):
    """The decoder's last state at its first step [D], of one question."""
    tokenizer, model = loaded(source)
    start = torch.tensor([[model.config.decoder_start_token_id]])
    with torch.inference_mode():
        asked = tokenizer(question, return_tensors="pt")["input_ids"]
        out = model(input_ids=asked, decoder_input_ids=start, output_hidden_states=True)
    return out.decoder_hidden_states[-1][0, 0].numpy()


@pytest.mark.parametrize("template", ["{text} {relation} [GEN]", "{relation} [GEN] {text}"])
@pytest.mark.parametrize("kind", KINDS)
def test_is_the_state_of_the_first_word_of_each_answer(sources, conversation, kind, template):
    source = sources[kind]
    extracted = extract(conversation, TEXTS, source, relations=NINE, template=template, batch=7)
    vectors = extracted.vectors.reshape(len(TEXTS), len(NINE), 16)
    for text, of_text in zip(TEXTS, vectors, strict=True):
        for relation, vector in zip(NINE, of_text, strict=True):
            asked = template.replace("{relation}", relation).replace("{text}", text)
            assert vector == pytest.approx(answer(source, asked), abs=1e-5), asked
    assert extracted.vectors.dtype == np.float32
    assert extracted.present.all()
    assert extracted.notes == ("",) * len(TEXTS)
    for one, other in combinations(range(len(NINE)), 2):
        assert np.abs(vectors[:, one] - vectors[:, other]).max() > 1e-3


def test_a_whole_forward_pass_begins_with_the_same_state(sources, conversation):
    """Published programs decode the question itself; its first state has seen no more than the start."""
    source = sources["bart"]
    tokenizer, model = loaded(source)
    with torch.inference_mode():
        out = model(**tokenizer(f"{TEXTS[0]} xWant [GEN]", return_tensors="pt"), output_hidden_states=True)
    vector = extract(conversation, TEXTS[:1], source, relations=("xWant",)).vectors[0]
    assert vector == pytest.approx(out.decoder_hidden_states[-1][0, 0].numpy(), abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_and_neighbours_change_nothing(sources, conversation, kind):
    together = extract(conversation, TEXTS * 4, sources[kind], batch=16).vectors
    assert extract(conversation, TEXTS * 4, sources[kind], batch=1).vectors == pytest.approx(together, abs=1e-5)
    alone = np.concatenate([extract(conversation, [text], sources[kind]).vectors for text in TEXTS])
    assert alone == pytest.approx(together[: len(TEXTS)], abs=1e-5)


def test_an_utterance_without_text_is_absent(sources, conversation):
    extracted = extract(conversation, [None, TEXTS[0], "  ", TEXTS[1], ""], sources["bart"])
    assert extracted.present.tolist() == [False, True, False, True, False]
    assert extracted.notes == ("no text", "", "no text", "", "no text")
    assert not extracted.vectors[[0, 2, 4]].any()
    assert extracted.vectors[[1, 3]] == pytest.approx(extract(conversation, TEXTS[:2], sources["bart"]).vectors)
    nothing = extract(conversation, [None, ""], sources["bart"])
    assert not nothing.present.any()
    assert nothing.vectors.shape == (2, 7 * 16)


def test_each_relation_is_a_modality_whatever_else_is_asked(sources):
    def made(*relations):
        config = CometExtraction(source=sources["bart"], max_tokens=32, relations=relations)
        return by_relation(CometExtractor(config).described())

    many = made("xWant", "oReact")
    assert list(many) == ["comet_xwant", "comet_oreact"]
    assert many["comet_xwant"].width == 16
    assert many["comet_xwant"] == made("xWant")["comet_xwant"]
    assert many["comet_xwant"].identity != many["comet_oreact"].identity
    assert CometExtraction(relations=("xWant", "oReact")).modalities == tuple(many)


@pytest.mark.parametrize("kind", ["bart", "bart-bpe"])
def test_what_reads_like_a_special_token_is_text(sources, kind):
    tokenizer = AutoTokenizer.from_pretrained(sources[kind])
    question = Questions(tokenizer, "{text} {relation} [GEN]", ["xWant"], 32).of("oh </s> my")[0]
    assert question.count(tokenizer.eos_token_id) == 1
    assert question[-1] == tokenizer.eos_token_id


def test_a_long_text_is_cut_and_the_relation_stays(sources, conversation):
    long, cut = " ".join(["oh my god"] * 30), " ".join(["oh my god"] * 8)  # 24 words, two markers, relation and [GEN]
    options = {"source": sources["bart"], "max_tokens": 30, "relations": ("xWant", "oReact")}
    found = extract(conversation, [long, cut], **options).vectors
    assert found[0] == pytest.approx(found[1], abs=1e-5)
    assert found[0, :16] == pytest.approx(answer(sources["bart"], f"{cut} xWant [GEN]"), abs=1e-5)
    assert np.abs(found[0, :16] - found[0, 16:]).max() > 1e-3


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"template": "{text} [GEN]"}, "once each"),
        ({"template": "{text} {relation} {text}"}, "once each"),
        ({"relations": ("xWant", "xWant")}, "name each relation once"),
        ({"relations": ()}, "at least 1 item"),
        ({"relations": ("xwant",)}, "xIntent"),
    ],
)
def test_questions_that_make_no_sense_are_refused(settings, sentence):
    with pytest.raises(ValidationError, match=sentence):
        CometExtraction(**settings)


def test_models_that_are_no_comet_are_refused(sources, tmp_path):
    def load(folder, max_tokens=32):
        return CometExtractor(CometExtraction(source=str(folder), max_tokens=max_tokens))

    with pytest.raises(UserError, match="'/nowhere' cannot be loaded"):
        load("/nowhere")
    with pytest.raises(UserError, match="max_tokens = 512 is more than the 40 positions"):
        load(sources["bart"], 512)
    with pytest.raises(UserError, match="max_tokens = 6 leaves no room for text: the question takes 6"):
        load(sources["bart"], 6)
    size = save_words(tmp_path)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    RobertaModel(RobertaConfig(vocab_size=size, **sizes)).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"is a roberta .* take a COMET of the kind of BART or T5"):
        load(tmp_path)


def test_hash_is_of_the_numbers_not_of_the_files(sources, tmp_path):
    def hashed(folder):
        return CometExtractor(CometExtraction(source=folder, max_tokens=32)).described().weights

    pieces = save_comet(tmp_path / "pieces", max_shard_size="4KB")
    assert len(list((tmp_path / "pieces").glob("*.safetensors"))) > 1
    assert hashed(pieces) == hashed(sources["bart"])
    assert hashed(save_comet(tmp_path / "other", seed=1)) != hashed(sources["bart"])
