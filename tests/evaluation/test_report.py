"""Reports: saved and loaded, shown, and compared example by example."""

import json
import math

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage

from agentkit.errors import ConfigurationError, DatasetError
from agentkit.evaluation import Report, Score, evaluate
from agentkit.testing import Reply, ScriptedChatModel

ROWS = [{"question": f"question {n}", "answer": "yes"} for n in range(30)]


def right(example, output):
    value = float(output["answer"] == example.expected["answer"])
    return Score(value, "as it should be" if value else "otherwise")


def answering(wrong=(), fails=()):
    """A graph that answers some questions wrongly, and fails at some."""

    async def graph(inputs):
        number = int(inputs["question"].split()[-1])
        if number in fails:
            raise OSError("busy")
        return {"answer": "no" if number in wrong else "yes", "number": number}

    return graph


def report_of(wrong=(), rows=ROWS, name="run", metrics=right, **options):
    return evaluate(answering(wrong), rows, metrics, name=name, **options)


# --- saving


def test_a_report_is_saved_and_loaded_whole(tmp_path):
    model = ScriptedChatModel(Reply("yes", usage=(10, 1)))

    async def graph(inputs):
        await model.ainvoke("?")
        if inputs["question"] == "question 3":
            raise OSError("busy")
        return {
            "answer": "yes",
            "documents": [Document("Three weeks", id="loans")],
            "messages": [AIMessage("yes")],
            "odd": math.nan,
        }

    def odd(example, output):
        return float("nan") if example.id == "2" else 0.5

    report = evaluate(
        graph, ROWS[:5], [right, odd], repeats=2, prices={"scripted": (1, 2)}, passing=0.5, seed=7
    )
    report.save(tmp_path / "report.json")
    loaded = Report.load(tmp_path / "report.json")
    assert str(loaded) == str(report)
    assert loaded.figures == report.figures
    assert loaded.failures == report.failures
    assert loaded.items[0].trials[0].run.output["documents"][0]["page_content"] == "Three weeks"
    assert loaded.items[0].trials[0].scores == report.items[0].trials[0].scores
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "report.json").read_text()


def test_the_file_is_json_with_a_version_and_the_figures(tmp_path):
    report_of({1, 2, 3}, rows=ROWS[:10]).save(tmp_path / "report.json")
    told = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)
    assert (told["format"], told["format_version"]) == ("agentkit.report", 1)
    assert told["figures"]["scores"]["right"]["mean"] == pytest.approx(0.7)
    assert told["items"][1]["runs"][0]["scores"]["right"] == {"value": 0, "feedback": "otherwise"}


def test_an_output_that_holds_itself_can_be_saved(tmp_path):
    def graph(inputs):
        loop = []
        loop.append(loop)
        return {"answer": "yes", "loop": loop, "text": "\ud800"}

    evaluate(graph, ROWS[:1], right).save(tmp_path / "report.json")
    assert Report.load(tmp_path / "report.json").items[0].trials[0].run.output["loop"] == "[[...]]"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No report can be read from"),
        ("{", "No report can be read from"),
        ("[]", "is not a report saved by agentkit"),
        ('{"format": "agentkit.prompts"}', "is not a report saved by agentkit"),
        ('{"format": "agentkit.report", "format_version": 2}', "has report format 2; this agentk"),
        ('{"format": "agentkit.report"}', "has report format None; this agentkit reads format 1"),
        ('{"format": "agentkit.report", "format_version": 1}', "is a damaged report: KeyError"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path, content, told):
    file = tmp_path / "report.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError, match=told):
        Report.load(file)


def test_a_report_that_cannot_be_written_is_told_and_nothing_is_left_behind(tmp_path):
    report = report_of(rows=ROWS[:1])
    with pytest.raises(ConfigurationError, match="cannot be written"):
        report.save(tmp_path / "no" / "folder.json")
    (tmp_path / "taken").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        report.save(tmp_path / "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


# --- showing


def test_a_report_reads_as_a_table(capsys):
    def fragile(example, output):
        return 7 if example.id == "2" else 1

    report = evaluate(answering({0}, fails={3}), ROWS, [right, fragile], name="a [bold]name[/]")
    text = str(report)
    assert "a [bold]name[/]: 30 examples" in text
    assert "right     0.933" in text
    assert "30 runs · 1 failed · p50" in text
    assert "2 examples with failures:" in text
    assert "4: OSError: busy" in text
    assert "2: fragile gave 7; a score is a number from 0 to 1, or a Score." in text
    report.show()
    assert "a [bold]name[/]: 30 examples" in capsys.readouterr().out


def test_a_metric_that_the_report_lacks_is_told():
    with pytest.raises(ConfigurationError, match="has no metric 'other'; it has right"):
        report_of(rows=ROWS[:1]).interval("other")


# --- comparing


def test_a_gain_is_shown():
    comparison = report_of().compare(report_of(range(12), name="before"))
    change = comparison.metrics["right"]
    assert change.verdict == "better"
    assert change.comparison.difference == pytest.approx(0.4)
    assert "better" in str(comparison)
    assert "run against before: 30 pairs" in str(comparison)
    assert str(change).startswith("right: better (+0.400, 95 % interval +0.2")


def test_a_loss_is_shown():
    assert report_of(range(12)).compare(report_of()).metrics["right"].verdict == "worse"


def test_where_nothing_is_shown_it_is_said_so():
    comparison = report_of({1, 2}).compare(report_of({3}))
    assert comparison.metrics["right"].verdict == "no difference shown"
    assert "no difference shown" in str(comparison)


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_examples_show_nothing(count):
    rows = ROWS[:count]
    comparison = report_of(rows=rows).compare(report_of(range(9), rows=rows))
    assert comparison.metrics["right"].verdict == "no difference shown"
    assert "nan" not in str(comparison).lower()


def test_examples_are_paired_by_what_is_asked_in_whatever_order(tmp_path):
    before = report_of(range(12))
    before.save(tmp_path / "before.json")
    after = report_of(rows=ROWS[::-1])
    comparison = after.compare(Report.load(tmp_path / "before.json"))
    assert len(comparison.pairs) == 30
    assert comparison.left_out == ()
    assert comparison.metrics["right"].comparison.difference == pytest.approx(0.4)


def test_questions_that_are_asked_twice_are_paired_once_each():
    rows = [ROWS[0], ROWS[1], ROWS[0]]
    comparison = report_of(rows=rows[1:]).compare(report_of(rows=rows))
    ids = [(old.example.id, new.example.id) for old, new in comparison.pairs]
    assert ids == [("2", "1"), ("1", "2")]
    assert comparison.left_out == ("3",)


def test_examples_that_only_one_report_has_are_left_out_and_named():
    rows = [{**ROWS[0], "id": "a"}, {**ROWS[1], "id": "b"}, {**ROWS[2], "id": "c"}]
    others = [rows[0], {**ROWS[9], "id": "b"}, {**ROWS[3], "id": "d"}]
    comparison = report_of(rows=rows).compare(report_of(rows=others))
    assert [after.example.id for _, after in comparison.pairs] == ["a"]
    assert comparison.left_out == ("b", "c", "d")
    assert "Left out, as only one report has them: b, c, d" in str(comparison)


def test_examples_of_which_something_else_is_expected_are_named():
    rows = [ROWS[0], {**ROWS[1], "answer": "no"}]
    comparison = report_of(rows=rows).compare(report_of(rows=ROWS[:2]))
    assert comparison.expecting_otherwise == ("2",)
    assert "Something else is expected than before of: 2" in str(comparison)


def test_pairs_without_a_score_are_left_out_of_that_metric():
    def half(example, output):
        return "none" if output["number"] % 2 else 1

    comparison = report_of(metrics=half).compare(report_of(metrics=[half, right]))
    assert list(comparison.metrics) == ["half"]
    assert len(comparison.metrics["half"].before) == 15


def test_reports_with_nothing_in_common_are_refused():
    with pytest.raises(DatasetError, match="have no example in common"):
        report_of(rows=ROWS[:1]).compare(report_of(rows=ROWS[1:2]))
    with pytest.raises(DatasetError, match="have no scored metric in common: <lambda>, and right"):
        report_of(rows=ROWS[:1]).compare(report_of(rows=ROWS[:1], metrics=lambda e, o: 1))


def test_a_run_that_failed_is_worth_nothing_in_a_comparison():
    before = evaluate(answering(), ROWS, right)
    after = evaluate(answering(fails=range(12)), ROWS, right)
    assert after.compare(before).metrics["right"].verdict == "worse"
