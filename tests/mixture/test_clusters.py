"""The cluster table: names found, exclusions mutual, and FLAN's own clusters as its task_splits.py has them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tutelage.core.errors import InputError
from tutelage.mixture import clusters

RENAMED = {
    "summarization": "summarisation",
    "structure_to_text": "structure-to-text",
    "open_domain_qa": "closed-book-questions",
    "common_sense": "commonsense",
    "entailment": "language-inference",
    "math": "arithmetic",
    "conversational_qa": "conversational-questions",
    "word_disambiguation": "word-sense",
    "linguistic_acceptability": "acceptability",
    "question_classification": "topic-classification",
    "read_comp_and_common_sense": "reading-comprehension-with-commonsense",
}


def test_a_data_set_is_in_one_cluster_and_exclusions_hold_both_ways():
    table = clusters.load_clusters()
    sets = [one for cluster in table.values() for one in (*cluster.datasets, *cluster.aliases)]
    assert len(sets) == len(set(sets))
    for cluster in table.values():
        assert set(cluster.aliases.values()) <= set(cluster.datasets)
        for other in cluster.excludes:
            assert cluster.name in table[other].excludes


@pytest.mark.parametrize(
    ("name", "data_set", "cluster"),
    [
        ("glue_mrpc_equivalent", "mrpc", "paraphrase"),
        ("testset_task1292_yelp_review_full_text", "yelp_review_full", "sentiment"),
        ("wiki_qa_Direct_Answer_to_Question", "wiki_qa", "closed-book-questions"),
        ("adversarial_qa_dbert_based_on", "adversarial_qa", "reading-comprehension"),
        ("qasc_is_correct_1", "qasc", "reading-comprehension"),
        ("paws_wiki", "paws_wiki", "paraphrase"),
        ("quartzite", None, None),
        ("my-own-rows", None, None),
    ],
)
def test_a_name_belongs_to_the_longest_data_set_that_it_begins_with(name, data_set, cluster):
    assert clusters.dataset_of(name) == data_set
    assert clusters.cluster_of(name) == cluster


def test_flans_clusters_are_those_of_its_code():
    path = Path(os.environ.get("TUTELAGE_DATA", "")) / "instruction" / "flan_facts.json"
    if not path.is_file():
        pytest.skip("TUTELAGE_DATA has no flan_facts.json")
    told = json.loads(path.read_text("utf-8"))["flan_2021"]["clusters"]
    for name, sets in told.items():
        ours = RENAMED.get(name, name.replace("_", "-"))
        assert {clusters.cluster_of(one) for one in sets} == {ours}, name


def test_holding_out_takes_the_neighbours_along():
    known = ["paraphrase", "language-inference", "sentiment", "mine"]
    assert clusters.held_out(["paraphrase"], known) == {"paraphrase", "language-inference"}
    assert clusters.held_out(["mine"], known) == {"mine"}
    with pytest.raises(InputError, match="no task belongs to the cluster") as caught:
        clusters.held_out(["paraphrases"], known)
    assert caught.value.where == "hold_out.0"
    assert "paraphrase?" in caught.value.fix
