"""``edgewise pde``: what it prints and keeps; the pictures and the report of solutions."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgewise import Chebyshev, cli
from edgewise.cli import pde_runs
from edgewise.cli.pde_list import catalogue
from edgewise.errors import EdgewiseError, ShapeError
from edgewise.physics import (
    PROBLEMS,
    Box,
    Data,
    Disk,
    Interval,
    Periodic,
    Problem,
    Recipe,
    Reference,
    Solution,
    TimeSpace,
    recipe_of,
    time_derivative,
)
from edgewise.physics.plots import figure_svg, plot_solution, plot_training
from edgewise.physics.report import headline, median_run, summary_rows, unknown_columns, write_report

TINY = ["pde", "diffusion", "--points", "40", "--steps", "3", "--seeds", "2"]


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEWISE_CACHE_DIR", "0")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A finished run: its folder, its solutions, its exit code."""
    folder, solutions = tmp_path_factory.mktemp("pde") / "run", []

    def kept(*arguments):
        solutions.append(solve(*arguments))
        return solutions[-1]

    with pytest.MonkeyPatch.context() as patch:
        solve = pde_runs._solution
        patch.setattr(pde_runs, "_solution", kept)
        code = cli.main([*TINY, "--out", str(folder), "--quiet"])
    return folder, solutions, code


def test_the_list_is_answered_without_jax(run_python):
    code = (
        "import sys; from edgewise.cli import main\n"
        "assert main(['pde', '--list']) == 0\n"
        "print([name for name in ('jax', 'numpy', 'flax') if name in sys.modules])"
    )
    *table, loaded = run_python(code).splitlines()
    assert loaded == "[]"
    assert [line.split()[0] for line in table[2:]] == list(PROBLEMS)


def test_the_list_states_every_equation_and_its_reference():
    entries = {entry.name: entry for entry in catalogue()}
    assert list(entries) == list(PROBLEMS)
    assert all("=" in entry.equation and entry.reference for entry in entries.values())
    assert entries["burgers"].equation.startswith("u_t + u u_x = nu u_xx on [-1, 1]")
    assert entries["inverse-diffusion"].reference == entries["diffusion"].reference
    assert "1e-15" in entries["burgers"].reference


def test_the_list_as_json(capsys):
    assert cli.main(["pde", "--list", "--json"]) == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == list(PROBLEMS)


def test_a_run_keeps_its_solutions_and_a_table(tiny):
    folder, solutions, code = tiny
    assert code == 0
    assert {path.name for path in folder.iterdir()} == {
        "report.html", "results.json", "table.csv", "settings.json", "solution_0.npz", "solution_1.npz",
        "checkpoint-0.npz", "checkpoint-1.npz",
    }  # fmt: skip
    with (folder / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["0", "1"]
    assert [row["steps"] for row in rows] == ["3", "3"]
    for seed, (row, solution) in enumerate(zip(rows, solutions, strict=True)):
        assert float(row["relative_l2"]) == pytest.approx(solution.error(), rel=1e-12)
        with np.load(folder / f"solution_{seed}.npz") as kept:
            distance = np.linalg.norm(kept["u"] - kept["reference"]) / np.linalg.norm(kept["reference"])
            assert kept["points"].shape == (101 * 129, 2)
        assert distance == pytest.approx(solution.error(), rel=1e-12)
    results = json.loads((folder / "results.json").read_text())
    assert results["settings"]["model"] == "separable"
    errors = [run["relative_l2"] for run in results["runs"]]
    assert results["relative_l2"] == {"median": np.median(errors), "min": min(errors), "max": max(errors)}


def test_the_report_stands_alone(tiny):
    folder, solutions, _ = tiny
    page = (folder / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert page.count("<svg") == 2
    assert page.count("data:image/png;base64") >= 4
    assert "prefers-color-scheme: dark" in page
    for part in ("u_t = D u_xx", "The reference is exact.", "levenberg_marquardt", "SeparableKAN", "Rigas et al."):
        assert part in page
    assert all(f"{solution.error():.2e}" in page for solution in solutions)
    assert "<script" not in page
    assert 'src="http' not in page
    assert 'href="http' not in page


def test_ctrl_c_between_seeds_keeps_what_is_done_and_what_is_done_is_not_done_again(tiny, monkeypatch, capsys):
    folder, solutions, _ = tiny
    shutil.copytree(folder, "copy")
    solve = pde_runs._solution

    def interrupted(problem, settings, seed, *rest):
        if seed == 2:
            raise KeyboardInterrupt
        return solve(problem, settings, seed, *rest)

    monkeypatch.setattr(pde_runs, "_solution", interrupted)
    monkeypatch.setattr(pde_runs, "write_report", lambda *arguments, **keywords: None)
    assert cli.main(["pde", "--resume", "--seeds", "3", "--out", "copy"]) == 130
    out, err = capsys.readouterr()
    assert "loss" not in err
    assert "edgewise pde --resume --out copy" in out
    assert "interrupted after 2 of 3 seeds" in out
    runs = json.loads(Path("copy", "results.json").read_text())["runs"]
    assert [run["relative_l2"] for run in runs] == pytest.approx([s.error() for s in solutions], rel=1e-12)


@pytest.fixture
def windows(monkeypatch):
    """``diffusion`` in two windows of time, by a small network."""
    recipe = Recipe((Chebyshev(4, squash=None),) * 2, rank=2, options={"windows": 2})
    monkeypatch.setattr(pde_runs, "recipe_of", lambda problem: recipe)


@pytest.mark.slow
def test_windows_that_are_done_are_not_done_again(windows, capsys):
    assert cli.main([*TINY[:-1], "1", "--out", "run"]) == 0
    assert "loss" in capsys.readouterr().err
    before = json.loads(Path("run", "results.json").read_text())
    assert sorted(path.name for path in Path("run").glob("checkpoint*")) == ["checkpoint-0-1.npz", "checkpoint-0-2.npz"]
    assert cli.main(["pde", "--resume", "--out", "run"]) == 0
    assert "loss" not in capsys.readouterr().err
    after = json.loads(Path("run", "results.json").read_text())
    assert after["relative_l2"] == before["relative_l2"]


@pytest.mark.slow
def test_ctrl_c_in_a_window_keeps_the_table_and_shows_what_is_known(windows, monkeypatch, capsys):
    solve = pde_runs._solution

    def interrupted(problem, settings, seed, *rest):
        solution = solve(problem, settings, seed, *rest)
        if seed == 0:
            return solution
        first = solution.windows[0]
        result = replace(first.result, reason="interrupted")
        return replace(solution, windows=(replace(first, result=result),))

    monkeypatch.setattr(pde_runs, "_solution", interrupted)
    assert cli.main([*TINY, "--out", "run"]) == 130
    assert "interrupted after 1 of 2 seeds" in capsys.readouterr().out
    whole, half = json.loads(Path("run", "results.json").read_text())["runs"]
    assert whole["relative_l2"] > 0
    assert (half["relative_l2"], half["stop"]) == (None, "interrupted")
    assert sorted(path.name for path in Path("run").glob("solution*")) == ["solution_0.npz"]
    assert cli.main([*TINY, "--seed", "1", "--out", "half"]) == 130
    assert "Training was interrupted before there was an error to tell." in Path("half", "report.html").read_text()


def test_ctrl_c_before_anything(monkeypatch, capsys):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(pde_runs, "_solution", interrupted)
    assert cli.main(TINY) == 130
    assert "before there was anything" in capsys.readouterr().err


BAD = {
    "no problem": ([], "no problem was named"),
    "problem": (["burgres"], "did you mean 'burgers'"),
    "constant": (["diffusion", "--parameter", "d=1"], "did you mean 'D'"),
    "no value": (["diffusion", "--parameter", "D"], "NAME=VALUE"),
    "bad value": (["diffusion", "--parameter", "D=fast"], "D must be a finite number above 0"),
    "model": (["diffusion", "--model", "rgaa"], "did you mean 'rga'"),
    "optimizer": (["diffusion", "--optimizer", "adan"], "did you mean 'adam'"),
    "weighting": (["diffusion", "--weighting", "rbaa"], "did you mean 'rba'"),
    "seeds": (["diffusion", "--seeds", "0"], "--seeds must be at least 1"),
    "points": (["diffusion", "--points", "-3"], "--points must be at least 1"),
    "resume": (["--resume", "--out", "none"], "no result in 'none'"),
    "both": (["diffusion", "--resume", "--force"], "both --force and --resume"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case, capsys):
    argv, message = BAD[case]
    assert cli.main(["pde", *argv]) == 2
    assert message in capsys.readouterr().err
    assert not list(Path().iterdir())


def test_a_folder_in_use_is_left_alone(tiny, capsys):
    folder = str(tiny[0])
    assert cli.main([*TINY, "--out", folder]) == 2
    assert "--resume" in capsys.readouterr().err
    assert cli.main(["pde", "--resume", "--steps", "9", "--out", folder]) == 2
    assert "steps is 9" in capsys.readouterr().err


def test_what_is_not_asked_for_is_that_of_the_problem_or_of_the_optimizer():
    settings = lambda **wanted: pde_runs.resolved_settings(wanted, Path("new"), force=False, resume=False)
    assert settings(problem="lorenz")["model"] == "separable"
    assert settings(problem="navier-stokes")["model"] == "kan"
    burgers = settings(problem="burgers")
    recipe = recipe_of("burgers")
    assert (burgers["model"], burgers["steps"], burgers["points"]) == ("separable", recipe.steps, recipe.points)
    rga = settings(problem="burgers", model="rga")
    assert (rga["optimizer"], rga["steps"], rga["points"]) == ("adam:1e-3", 5000, 2048)
    assert settings(problem="burgers", model="kan")["steps"] == 200


def test_every_problem_has_a_separable_network():
    domain = TimeSpace((0.0, 1.0), Interval(0.0, 2.0))
    recipe = recipe_of(Problem(domain, lambda u, x: time_derivative(u, x), [Periodic(axis="x")], n_out=2))
    assert recipe.options["hard"] == {"periodic in x": False}
    network = recipe.model(known(domain, 2).problem)
    ends = np.asarray(network(np.array([[0.3, -1.0], [0.3, 1.0]])))
    assert ends.shape == (2, 2)
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-4, atol=1e-5)


class Known(Solution):
    """A solution that is a formula: sums of the coordinates, and 0 where the first is 0."""

    def __call__(self, x):
        return np.repeat(x.sum(1, keepdims=True), self.problem.n_out, 1) * np.where(x[:, :1] == 0, 0, 1)

    def residual(self, x):
        return np.repeat(x[:, :1] * 1e-3, self.problem.n_out, 1)


def known(domain, n_out=1, **arguments):
    equation = lambda u, x: time_derivative(u, x)
    return Known(Problem(domain, equation, n_out=n_out, **arguments), (), 0.0)


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_maps_over_two_coordinates():
    axes = [np.linspace(0, 1, 5), np.linspace(-1, 1, 7)]
    reference = Reference.exact(lambda x: x.sum(1, keepdims=True) + 1e-3, axes, ("t", "x"))
    solution = known(TimeSpace((0.0, 1.0), Interval(-1.0, 1.0)), reference=lambda: reference)
    figure = plot_solution(solution)
    assert titles(figure) == ["u", "u, reference", "|error|", "|residual|"]
    assert figure.axes[0].get_xlabel() == "t"
    assert figure.axes[0].get_ylabel() == "x"
    svg = figure_svg(figure)
    assert svg.startswith("<svg")
    assert "currentColor" in svg


def test_maps_leave_out_what_is_outside():
    figure = plot_solution(known(Disk((0.0, 0.0), 1.0)))
    assert titles(figure) == ["u", "|residual|"]
    drawn = figure.axes[0].collections[0].get_array()
    assert np.ma.count_masked(drawn) / drawn.size == pytest.approx(1 - np.pi / 4, abs=0.03)


def test_three_coordinates_are_cut_at_the_last_moment():
    axes = [np.linspace(0, 2, 3), np.linspace(0, 1, 4), np.linspace(0, 1, 5)]
    values = lambda x: np.repeat(x.sum(1, keepdims=True), 2, 1)
    reference = Reference.exact(values, axes, ("t", "x", "y"))
    solution = known(TimeSpace((0.0, 2.0), Box((0.0, 0.0), (1.0, 1.0))), 2, reference=lambda: reference)
    figure = plot_solution(solution)
    assert figure.get_suptitle() == "at t = 2"
    assert titles(figure)[4:] == ["u2", "u2, reference", "|error|", "|residual| of equation 2"]
    np.testing.assert_allclose(figure.axes[0].collections[0].get_array()[0], 2 + axes[1])


def test_maps_of_space_are_to_scale_unless_they_would_be_lines():
    for wide, aspect in ((2.0, 1.0), (100.0, "auto")):
        figure = plot_solution(known(Box((0.0, 0.0), (wide, 1.0))))
        assert figure.axes[0].get_aspect() == aspect
        figure.draw_without_rendering()
        (bar,) = figure.axes[0].child_axes  # as high as the map
        assert bar.get_window_extent().height == pytest.approx(figure.axes[0].get_window_extent().height, rel=0.01)


def test_a_reference_of_one_moment_is_a_curve():
    of = lambda t, x: Reference.exact(lambda x: x.sum(1, keepdims=True) + 1e-3, [t, x], ("t", "x"))
    solution = known(TimeSpace((0.0, 1.0), Interval(-1.0, 1.0)))
    figure = plot_solution(solution, of([1.0], [-1.0, 0.0, 1.0]))
    assert figure.get_suptitle() == "at t = 1"
    assert [axes.get_yscale() for axes in figure.axes] == ["linear", "log", "log"]
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata(), [0.001, 1.001, 2.001])
    with pytest.raises(ShapeError, match="one point"):
        plot_solution(solution, of([1.0], [0.0]))


def test_curves_over_one_coordinate():
    points = np.array([[0.5], [1.5]])
    reference = Reference.exact(lambda x: np.repeat(x + 1e-3, 2, 1), [np.linspace(0, 2, 9)], ("t",))
    data = Data(points=points, values=np.repeat(points, 2, 1))
    solution = known(Interval(0.0, 2.0, name="t"), 2, conditions=[data], reference=lambda: reference)
    figure = plot_solution(solution)
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend == ["u1", "u2", "reference", "measured"]
    assert [axes.get_yscale() for axes in figure.axes] == ["linear", "log", "log"]
    assert figure.axes[-1].get_xlabel() == "t"
    with pytest.raises(ShapeError, match="the reference is of 1 coordinates and 1 outputs"):
        plot_solution(solution, Reference.exact(lambda x: x, [np.linspace(0, 2, 9)], ("t",)))


def test_the_loss_is_drawn_over_whole_steps(tiny):
    figure = plot_training(tiny[1][0])
    assert figure.axes[0].get_xlabel() == "step"
    assert all(float(tick).is_integer() for tick in figure.axes[0].get_xticks())


def row(error, **unknown):
    return {
        "seed": 0, "relative_l2": error, "parameters": 5, "steps": 7, "seconds": 1.0, "stop": "completed",
        "unknown": unknown,
    }  # fmt: skip


def test_the_median_is_a_run():
    assert median_run([row(3.0), row(1.0), row(2.0)]) == 2
    assert median_run([row(3.0), row(1.0)]) == 1
    assert median_run([row(None), row(float("nan")), row(4.0)]) == 2
    assert median_run([row(None), row(None)]) == 0


def test_errors_and_unknown_parameters_in_words():
    assert headline([row(1e-3), row(2e-3), row(5e-2)]) == (
        "Relative L2 error: median 2.00e-03, from 1.00e-03 to 5.00e-02, over 3 seeds."
    )
    assert "no reference" in headline([row(None)])
    found = {"value": 0.101, "low": 0.09, "high": 0.112, "truth": 0.1}
    unsure = {"value": 2.0, "low": None, "high": None, "truth": None}
    assert unknown_columns([row(1.0, D=found, c=unsure)])[1] == [
        ["D", "0", "0.101", "0.09 to 0.112", "0.1", "1.0e-02"],
        ["c", "0", "2", "-", "-", "-"],
    ]


def test_a_report_without_matplotlib_says_so(tiny, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    path = write_report(tiny[1][:1], "page")
    assert path == Path("page", "report.html")
    assert "no pictures were made: matplotlib is not installed." in path.read_text()


def test_a_report_is_about_solutions_of_one_problem(tiny):
    solutions = tiny[1]
    with pytest.raises(EdgewiseError, match="a report of no solutions"):
        write_report([], "page")
    with pytest.raises(EdgewiseError, match="solutions of diffusion, problem"):
        write_report([solutions[0], known(Interval(0.0, 1.0, name="t"))], "page")
    with pytest.raises(ShapeError, match="1 seeds of 2 solutions"):
        summary_rows(solutions, [1])
    Path("file").write_text("")
    with pytest.raises(EdgewiseError, match="cannot write to the folder 'file'"):
        write_report(solutions[:1], "file", rows=[row(1.0)])
