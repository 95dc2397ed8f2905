"""The plot, and the command that draws it."""

import sys

import pytest

from peft_asr.bin import results
from peft_asr.bin.main import main
from peft_asr.errors import UserError
from peft_asr.report import plot
from peft_asr.report.groups import Group, labels
from peft_asr.report.rows import collect_rows
from peft_asr.report.store import update
from tests.report.experiments import make_experiment

COUNTS = {"frozen": 2000, "lora": 73728, "full": 5_000_000}


@pytest.fixture
def rows(tmp_path):
    """Three methods, three seeds, two sets; one method with a single seed and one set."""
    found = []
    for method, trainable in COUNTS.items():
        for seed in range(3):
            facts = {
                "method": method,
                "seed": seed,
                "trainable": trainable,
                "wer": 10.0 + seed,
                "sets": ("a", "b"),
            }
            found += collect_rows(
                make_experiment(tmp_path / f"asr_mini_hubert_{method}_seed{seed}", **facts), ["a", "b"]
            )
    alone = make_experiment(
        tmp_path / "random" / "asr_mini_hubert_lora", random_init=True, wer=90.0, sets=("b",)
    )
    return found + collect_rows(alone, ["b"])


def test_png(rows, tmp_path):
    pytest.importorskip("matplotlib")
    plot.plot_results(rows, str(tmp_path / "plots" / "p.png"))
    data = (tmp_path / "plots" / "p.png").read_bytes()
    assert data.startswith(b"\x89PNG") and len(data) > 10_000
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["p.png"]


def test_points_bars_and_limits(rows, tmp_path, figures):
    plot.plot_results(rows, str(tmp_path / "p.svg"))
    left, right = figures[0].axes
    assert (left.get_title(), right.get_title()) == ("a", "b")
    points = {
        container.get_label(): (container[0].get_xdata()[0], container[0].get_ydata()[0])
        for container in right.containers
    }
    assert points == {
        "frozen": (2000, 11.0),
        "lora": (73728, 11.0),
        "full": (5_000_000, 11.0),
        "lora, random weights": (73728, 90.0),
    }
    bars = {c.get_label(): c[2][0].get_segments()[0][:, 1].tolist() for c in right.containers}
    assert bars["lora"] == pytest.approx([10.0, 12.0])  # one standard deviation of 10, 11, 12
    assert bars["lora, random weights"] == pytest.approx([89.0, 91.5])  # the interval of one run
    assert left.get_xscale() == "log"
    assert left.get_ylim()[0] == 0 and left.get_ylim()[1] > 90
    assert left.get_xlim()[0] < 2000 and left.get_xlim()[1] > 5_000_000


def test_the_legend_of_many_methods_stays_inside_the_picture(rows, tmp_path, figures):
    many = [{**rows[0], "method": f"a_method_with_a_long_name_{number}", "tag": "t"} for number in range(40)]
    plot.plot_results(many, str(tmp_path / "p.svg"))
    figure = figures[0]
    figure.draw_without_rendering()
    legend, page = figure.legends[0].get_window_extent(), figure.bbox
    assert page.x0 <= legend.x0 and legend.x1 <= page.x1 and page.y0 <= legend.y0
    assert len(figure.legends[0].get_texts()) == 40


def test_a_name_longer_than_the_picture_is_wide_is_broken(rows, tmp_path, figures):
    options = " ".join(f"method.option_{number}=[one, two]" for number in range(9))
    plot.plot_results([{**rows[0], "options": options}, rows[1]], str(tmp_path / "p.svg"))
    figure = figures[0]
    figure.draw_without_rendering()
    legend, page = figure.legends[0].get_window_extent(), figure.bbox
    assert page.x0 <= legend.x0 and legend.x1 <= page.x1 and page.y0 <= legend.y0
    assert options in figure.legends[0].get_texts()[0].get_text().replace("\n", " ")


def test_names_leave_out_the_tag_that_most_share(rows):
    tags = ["bpe_max_steps=300"] * 3 + ["x.y=true_bpe_max_steps=300", "bpe_max_steps=300_train.lr=1e-3"]
    options = ["", "", "", "x.y=True", ""]
    made = [{**rows[0], "method": f"m{i}", "tag": tag, "options": options[i]} for i, tag in enumerate(tags)]
    assert labels([Group([row]) for row in made]) == ["m0", "m1", "m2", "m3, x.y=True", "m4, train.lr=1e-3"]
    made = [
        {**rows[0], "method": f"m{i}", "tag": tag} for i, tag in enumerate(("a", "a", "a", "a_lr", "small"))
    ]
    assert labels([Group([row]) for row in made]) == ["m0", "m1", "m2", "m3, lr", "m4, small"]


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    with pytest.raises(UserError, match=r"--plot needs matplotlib .*: pip install 'peft_asr\[plots\]'"):
        plot.check_plot("p.png")


def test_unknown_format():
    with pytest.raises(
        UserError, match="--plot p.bmp: the format is unknown; allowed endings: .png, .svg, .pdf"
    ):
        plot.check_plot("p.bmp")


def test_nothing_to_draw(tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(UserError, match="nothing to draw"):
        plot.plot_results([], str(tmp_path / "p.png"))


def test_command(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    exp = make_experiment(tmp_path / "exp" / "asr_mini_hubert_lora", wer=4.0, sets=("test", "hard"))
    page, picture = tmp_path / "RESULTS.md", tmp_path / "p.png"
    arguments = ["results", "--exp", exp, "--sets", "test hard", "--out", str(page), "--note", "partial"]
    assert main([*arguments, "--command", "./run.sh --peft lora", "--plot", str(picture)]) == 0
    printed = capsys.readouterr().out
    assert "test    4.00    3.00 -   5.50    2.00" in printed
    assert printed.splitlines()[-1] == f"saved adapter: 295,912 bytes ({exp}/adapter)"
    assert "| partial | `./run.sh --peft lora` |" in page.read_text()
    assert picture.exists()
    picture.unlink()
    assert (
        main(["results", "--out", str(page), "--plot", str(picture)]) == 0
    )  # drawn again from results.jsonl
    assert picture.exists()
    assert main(["results", "--exp", exp + "x", "--sets", "test", "--out", str(page)]) == 1
    assert "run stage 3" in capsys.readouterr().err


def test_only_matching_tags_are_drawn(rows, tmp_path, monkeypatch):
    page = str(tmp_path / "RESULTS.md")
    update(page, [{**row, "tag": f"{row['method']}_x"} for row in rows])
    drawn = []
    monkeypatch.setattr(results, "plot_results", lambda chosen, *_: drawn.extend(chosen))
    assert main(["results", "--out", page, "--plot", str(tmp_path / "p.png"), "--plot_tag", "^full"]) == 0
    assert {row["method"] for row in drawn} == {"full"}


def test_plot_tag_must_be_an_expression(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    arguments = ["--out", str(tmp_path / "R.md"), "--plot", str(tmp_path / "p.png"), "--plot_tag", "("]
    assert main(["results", *arguments]) == 1
    assert "--plot_tag ( is no regular expression" in capsys.readouterr().err
