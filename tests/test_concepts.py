"""What the concept pages say is so: their code runs, their numbers are computed, their figures are made again."""

from __future__ import annotations

import doctest
import functools
import importlib
import importlib.util
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import slow_learning_page
import softclass
import truth

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "concepts"
SCRIPT = ROOT / "scripts" / "make_figures.py"
PAGES = sorted(FOLDER.glob("*.md"))
FIGURES = sorted(FOLDER.glob("images/**/*.svg"))
SCRIPTS = {SCRIPT: FOLDER / "images", ROOT / "docs/figures/slow_learning.py": FOLDER / "images/slow-learning"}
LONGEST = {"slow-learning.md": 380, "slow-learning.zh-CN.md": 380}  # nine theorems and six experiments
NUMBER = re.compile(r"(?<![\w.,^{])\d+(?:,\d{3})+(?:\.\d+)?|(?<![\w.])\d+\.\d+(?:\.\d+)?(?:e-?\d+)?|(?<![\w.])\de-\d+")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
each_figure = pytest.mark.parametrize("figure", FIGURES, ids=lambda path: path.name)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose_of(page: Path) -> str:
    """The text on one line, without code, addresses and the list of sources."""
    text = re.sub(r"```.*?```", " ", re.split("## (?:Sources|来源)", text_of(page))[0], flags=re.DOTALL)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return re.sub(r"\s+", " ", text)


# --- code ---


@each_page
def test_the_code_runs_and_prints_what_is_shown(page: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", text_of(page), flags=re.DOTALL)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    runner, said = doctest.DocTestRunner(optionflags=flags), []
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks, start=1):
        test = doctest.DocTestParser().get_doctest(block, {}, f"block {number}", str(page), 0)
        test.globs = names
        runner.run(test, out=said.append, clear_globs=False)

    assert said == []
    assert len(blocks) >= 4
    assert runner.summarize(verbose=False).failed == 0


# --- numbers ---

LOGITS = np.array([2.0, 1.0, 0.1])
TEN = math.log(1e-9)  # of log(p + 1e-9)


def trailing(lead: float, n_classes: int = 10) -> list[float]:
    """Logits in which class 1 leads class 0, the target, and all others."""
    return [0.0, lead] + [0.0] * (n_classes - 2)


def with_epsilon(lead: float) -> tuple[float, float]:
    """Loss and push of -log(p + 1e-9) on such a row."""
    p = float(truth.probabilities(trailing(lead))[0])
    return -math.log(p + 1e-9), (1 - p) * p / (p + 1e-9)


def from_logits(lead: float) -> tuple[float, float]:
    """Loss and push of softclass on such a row."""
    loss, gradient = softclass.cross_entropy_value_and_gradient(np.array(trailing(lead)), 0)
    return float(loss), -float(gradient[0])


def squared_push(lead: float) -> float:
    """Push of half the squared error on such a row: p_t times the squared distance."""
    p = [float(value) for value in truth.probabilities(trailing(lead))]
    return p[0] * ((1 - p[0]) ** 2 + sum(value**2 for value in p[1:]))


def steps_to_half(lead: float, loss: str, step: float = 0.5) -> int:
    """Gradient steps on the ten logits of such a row until its target has more than half of the probability."""
    target, wrong, other = 0.0, lead, 0.0  # the eight others stay equal
    for count in range(100_000):
        largest = max(target, wrong, other)
        e = math.exp(target - largest), math.exp(wrong - largest), math.exp(other - largest)
        total = e[0] + e[1] + 8 * e[2]
        p = e[0] / total, e[1] / total, e[2] / total
        if p[0] > 0.5:
            return count
        g = [p[0] - 1, p[1], p[2]]
        if loss == "epsilon":
            g = [value * p[0] / (p[0] + 1e-9) for value in g]
        if loss == "squared":
            mean = p[0] * g[0] + p[1] * g[1] + 8 * p[2] * g[2]
            g = [a * (b - mean) for a, b in zip(p, g, strict=True)]
        target, wrong, other = target - step * g[0], wrong - step * g[1], other - step * g[2]
    raise AssertionError("never")


def softmax_phrases() -> Iterator[str]:
    e, p = np.exp(LOGITS), softclass.softmax(LOGITS)
    yield f"exponentials are {e[0]:.3f}, {e[1]:.3f} and {e[2]:.3f}, their sum is {e.sum():.3f}"
    yield f"sum are {p[0]:.3f}, {p[1]:.3f} and {p[2]:.3f}:"
    yield f"factor of $e \\approx {math.e:.3f}$, {math.log(10):.3f} nats are a factor of 10"
    share = LOGITS / LOGITS.sum()
    yield f"divided by {LOGITS.sum():.1f}, it gives the first class {p[0]:.3f} instead of {share[0]:.3f}"
    yield f"the last one {p[2]:.3f} instead of {share[2]:.3f}"
    yield f"probabilities {p[0]:.3f}, {p[1]:.3f} and {p[2]:.3f} from above"
    yield f"${p[0]:.3f} \\cdot (1 - {p[0]:.3f}) = {p[0] * (1 - p[0]):.4f}$"
    yield f"$-{p[0]:.3f} \\cdot {p[1]:.4f} = {-p[0] * p[1]:.4f}$"


def cross_entropy_phrases() -> Iterator[str]:
    yield f"$\\log 10 = {math.log(10):.3f}$ nats"
    yield f"$\\log 2 = {math.log(2):.3f}$"
    p = float(softclass.softmax(LOGITS)[0])
    yield f"right class had {p:.3f}, so its logit is pushed up with $1 - {p:.3f} = {1 - p:.3f}$"
    yield f"pushes with {from_logits(10)[1]:.3f} and squared error with {squared_push(10):.6f}"
    yield f"$\\ell_\\varepsilon \\le -\\log \\varepsilon = {-TEN:.2f}$ nats"
    yield f"once the lead $m$ of a wrong class exceeds {-TEN:.2f} nats"
    for lead in (10, 20, 25, 30):
        (loss, push), (capped, starved) = from_logits(lead), with_epsilon(lead)
        small = f"{starved:.4f}" if starved > 1e-3 else f"{starved:.6f}"
        yield f"| {lead} | {loss:.4f} | {capped:.4f} | {push:.4f} | {small} |"
    true, epsilon = ([steps_to_half(lead, loss) for lead in (20, 25, 30)] for loss in ("true", "epsilon"))
    yield f"from a lead of 20 nats it takes {true[0]} steps with the true loss and {epsilon[0]} with $\\varepsilon$"
    yield f"from 25 nats {true[1]} and {epsilon[1]}; from 30 nats {true[2]} and {epsilon[2]:,}."
    yield f"Squared error needs {steps_to_half(12, 'squared'):,} steps from a lead of 12 nats"
    yield f"where cross-entropy needs {steps_to_half(12, 'true')}."
    yield f"$p_t$ itself is 0 from a lead of about {150 * math.log(2):.0f} nats"  # half of the smallest float32
    smoothed = [float(share) for share in truth.smoothed(0, 10, 0.1)]
    yield f"which is {math.log(1 + 10 * 0.9 / 0.1):.2f} nats for ten classes and $\\varepsilon = 0.1$"
    yield f"the entropy of the smoothed target, {-sum(q * math.log(q) for q in smoothed):.3f} nats"


def bound(name: str) -> str:
    """Two cells of the table: the bound that the tests of the functions hold."""
    tests = (ROOT / "tests" / "functions" / "test_accuracy.py").read_text(encoding="utf-8")
    found = re.search(rf'^{name} = {{"f4": ([\d.]+), "f8": ([\d.]+)}}', tests, flags=re.MULTILINE)
    assert found is not None
    return f"| {float(found[1]):g} ulp | {float(found[2]):g} ulp |"


def numerics_phrases() -> Iterator[str]:
    yield f"| `softmax` {bound('SOFTMAX')}"
    yield f"| `log_softmax` {bound('LOG_SOFTMAX')}"
    yield f"| `logsumexp` {bound('LOGSUMEXP')}"
    yield f"| loss of a row, however small {bound('LOSS')}"
    yield f"| mean and sum of losses {bound('REDUCED')}"
    yield f"| each entry of the gradient {bound('GRADIENT')}"
    largest = math.log(float(np.finfo(np.float32).max)), math.log(float(np.finfo(np.float64).max))
    yield f"overflows in float32 above $z = {largest[0]:.1f}$ and in float64 above {largest[1]:.1f}"
    yield f"$2^{{{math.log2(np.spacing(np.float32(64))):.0f}}}$ apart"
    yield f"at $m = 10^6$ a float32 is a multiple of {np.spacing(np.float32(1e6)):g}"
    yield f"largest float16 is {np.finfo(np.float16).max:,.0f}"
    first = float(truth.log_probabilities([0.0, -20.0, -20.0])[0])
    yield f"| {first:.4e} | | gradient of the loss of that row, target 0 |"
    yield f"| first entry {float(truth.row_gradient([0.0, -20.0, -20.0], 0)[0]):.4e} |"
    yield f"softmax 0 in SciPy and JAX, right in PyTorch | {math.log(70000):.4f}; {1 / 70000:.2e} |"
    wide, many = (worst_ulps(softclass.softmax, logits) for logits in (spread_logits(), many_classes()))
    yield f"wrong by about 66 ulp | wrong by {wide:.1f} ulp |"
    yield f"row sums by about 1e-05 | wrong by {many:.1f} ulp |"
    yield f"PyTorch, Optax: NaN | {float(0.5 * (truth.row_loss([0, 1], 0) + truth.row_loss([0, 1], 1))):.4f} |"
    yield f"since it is returned in bfloat16 | {math.log(100_000):.4f} |"
    yield f"in chunks of 16: 4.0; of its choice: 6.97 | {math.log(1024):.4f} |"


# Numbers that are chosen, not computed: inputs, sizes, versions, and the bounds that the tests of the functions hold.
CHOSEN = {
    "softmax.md": {"0.1", "100,000"},
    "cross-entropy.md": {"0.5", "100,000"},
    "numerics.md": {
        *("0.5", "100,000", "70,000", "1,024", "0.1"),
        *("2.13.0", "1.17.1", "0.10.2", "0.2.8"),
        *("2.0612e-09", "1e-05", "11.5", "4.0", "8,192"),  # of other libraries; test_what_others_do
        "99.9",  # per cent; tests/functions/test_accuracy.py
    },
    "slow-learning.md": slow_learning_page.CHOSEN,
    "slow-learning.zh-CN.md": slow_learning_page.CHOSEN,
}
PHRASES: dict[str, Callable[[], Iterator[str]]] = {
    "softmax.md": softmax_phrases,
    "cross-entropy.md": cross_entropy_phrases,
    "numerics.md": numerics_phrases,
    "slow-learning.md": slow_learning_page.english,
    "slow-learning.zh-CN.md": slow_learning_page.chinese,
}


def test_every_page_has_its_numbers_computed() -> None:
    assert sorted(PHRASES) == sorted(CHOSEN) == [page.name for page in PAGES]


@each_page
def test_the_numbers_of_the_text_are_right(page: Path) -> None:
    prose = prose_of(page)

    assert [phrase for phrase in PHRASES[page.name]() if phrase not in prose] == []


@each_page
def test_no_number_of_the_text_is_left_out(page: Path) -> None:
    prose = prose_of(page)
    for phrase in PHRASES[page.name]():
        prose = prose.replace(phrase, " ")

    assert sorted(set(NUMBER.findall(prose)) - CHOSEN[page.name]) == []


# --- what other libraries do ---

VERSIONS = {"torch": "2.13.0", "scipy": "1.17.1", "jax": "0.10.2", "optax": "0.2.8"}
CONFIDENT = np.array([0.0, -20.0, -20.0], dtype=np.float32)
HALVES = np.zeros(70000, dtype=np.float16)


def peer(name: str) -> Any:
    """The library, or a skip where it is absent or another version than the page names."""
    library = pytest.importorskip(name)
    found = library.__version__.split("+")[0]
    if found != VERSIONS[name]:
        pytest.skip(f"the page speaks of {name} {VERSIONS[name]}; this is {found}")
    return library


def of_torch(function: str, values: Any, *arguments: Any) -> Any:
    library = peer("torch")
    return getattr(library, function)(library.tensor(values), *arguments).numpy()


def of_scipy(function: str, values: Any) -> Any:
    peer("scipy")
    with np.errstate(all="ignore"):
        return getattr(importlib.import_module("scipy.special"), function)(values, axis=-1)


def of_jax(function: str, values: Any) -> Any:
    return np.asarray(getattr(peer("jax").nn, function)(values, axis=-1))


def figures_script() -> Any:
    """The script as a module: what it compares with is the page's claim."""
    spec = importlib.util.spec_from_file_location("make_figures", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_figures"] = module
    spec.loader.exec_module(module)
    return module


def many_classes() -> Any:
    return (np.random.default_rng(0).standard_normal((4, 100_000)) * 5).astype(np.float32)


def worst_ulps(softmax: Callable[[Any], Any], logits: Any) -> float:
    return float(figures_script().worst_ulps(logits, softmax(logits)))


def spread_logits() -> Any:
    """Those of the last point of the figure."""
    return figures_script().spread_logits(80.0)


def is_wrong_by_66_ulps(softmax: Callable[[Any], Any]) -> bool:
    return 65 <= round(worst_ulps(softmax, spread_logits())) <= 67


def torch_gradient(logits: Any, targets: Any) -> Any:
    torch = peer("torch")
    leaf = torch.tensor(logits, requires_grad=True)
    torch.nn.functional.cross_entropy(leaf, torch.tensor(targets)).backward()
    return leaf.grad.numpy()


def torch_many_classes() -> bool:
    sums = of_torch("softmax", many_classes(), 1).astype(np.float64).sum(axis=1)
    worst = worst_ulps(lambda logits: of_torch("softmax", logits, 1), many_classes())
    return worst > 100 and round(math.log10(abs(sums - 1).max())) == -5


def optax_index(index: int) -> float:
    peer("jax")
    losses = peer("optax").softmax_cross_entropy_with_integer_labels(
        np.array([[0.0, 1.0, 2.0]], dtype=np.float32), np.array([index])
    )
    return float(losses[0])


def optax_soft() -> float:
    peer("jax")
    logits, targets = np.array([0.0, 1.0, -np.inf], dtype=np.float32), np.array([0.5, 0.5, 0.0], dtype=np.float32)
    return float(peer("optax").softmax_cross_entropy(logits, targets))


def torch_soft() -> float:
    torch = peer("torch")
    loss = torch.nn.functional.cross_entropy(torch.tensor([[0.0, 1.0, -math.inf]]), torch.tensor([[0.5, 0.5, 0.0]]))
    return float(loss)


def optax_bfloat16() -> float:
    logits = peer("jax").numpy.zeros((1, 100_000), dtype="bfloat16")
    return float(peer("optax").softmax_cross_entropy_with_integer_labels(logits, np.array([0]))[0])


def torch_bfloat16() -> float:
    torch = peer("torch")
    logits = torch.zeros((1, 100_000), dtype=torch.bfloat16)
    return float(torch.nn.functional.cross_entropy(logits, torch.tensor([0])))


def torch_chunks(rows: int | None) -> Any:
    """Its linear_cross_entropy in chunks of so many rows, or of its own choice."""
    torch = peer("torch")
    options = torch.nn.modules.linear_cross_entropy_options.LinearCrossEntropyOptions(batch_chunk_size=rows)
    return functools.partial(torch.nn.functional.linear_cross_entropy, options=options)


def torch_chunked_loss(rows: int | None) -> float:
    torch = peer("torch")
    features, weight = torch.zeros((8192, 64), dtype=torch.bfloat16), torch.zeros((1024, 64), dtype=torch.bfloat16)
    return round(float(torch_chunks(rows)(features, weight, torch.zeros(8192, dtype=torch.long))), 2)


def torch_tangent(rows: int) -> float:
    """The derivative of the loss along the weight of a right class; `rows` of 2 in a chunk."""
    torch = peer("torch")
    features, weight = torch.eye(2, dtype=torch.float64), torch.zeros((3, 2), dtype=torch.float64)
    tangent, targets = torch.zeros_like(weight), torch.tensor([0, 1])
    tangent[0, 0] = 1.0
    loss = torch_chunks(rows) if rows < 2 else torch.nn.functional.linear_cross_entropy
    return float(torch.func.jvp(lambda moved: loss(features, moved, targets), (weight,), (tangent,))[1])


NAN_ROW = np.array([[1.0, 2.0], [math.nan, 0.0]], dtype=np.float32)
INFINITE = np.array([0.0, math.inf, 1.0], dtype=np.float32)
OTHERS: dict[str, Callable[[], Any]] = {
    "log_softmax torch": lambda: of_torch("log_softmax", CONFIDENT, 0)[0] == 0,
    "log_softmax scipy": lambda: of_scipy("log_softmax", CONFIDENT)[0] == 0,
    "log_softmax jax": lambda: of_jax("log_softmax", CONFIDENT)[0] == 0,
    "gradient torch": lambda: (
        [f"{value:.4e}" for value in torch_gradient(CONFIDENT[None], [0])[0]] == ["0.0000e+00"] + ["2.0612e-09"] * 2
    ),
    "spread torch": lambda: is_wrong_by_66_ulps(lambda logits: of_torch("softmax", logits, 1)),
    "spread scipy": lambda: is_wrong_by_66_ulps(lambda logits: of_scipy("softmax", logits)),
    "spread jax": lambda: is_wrong_by_66_ulps(lambda logits: of_jax("softmax", logits)),
    "many classes torch": torch_many_classes,
    "float16 logsumexp torch": lambda: of_torch("logsumexp", HALVES, 0) == math.inf,
    "float16 logsumexp scipy": lambda: of_scipy("logsumexp", HALVES) == math.inf,
    "float16 logsumexp jax": lambda: of_jax("logsumexp", HALVES) == math.inf,
    "float16 softmax torch": lambda: of_torch("softmax", HALVES, 0)[0] == np.float16(1 / 70000),
    "float16 softmax scipy": lambda: of_scipy("softmax", HALVES)[0] == 0,
    "float16 softmax jax": lambda: of_jax("softmax", HALVES)[0] == 0,
    "one inf torch": lambda: np.isnan(of_torch("softmax", INFINITE, 0)).all(),
    "one inf scipy": lambda: np.isnan(of_scipy("softmax", INFINITE)).all(),
    "one inf jax": lambda: np.isnan(of_jax("softmax", INFINITE)).all(),
    "ignored row torch": lambda: np.isnan(torch_gradient(NAN_ROW, [0, -100])).tolist() == [[False] * 2, [True] * 2],
    "zero target torch": lambda: math.isnan(torch_soft()),
    "zero target optax": lambda: math.isnan(optax_soft()),
    "index -1 optax": lambda: math.isclose(optax_index(-1), optax_index(2)),
    "index 7 optax": lambda: math.isnan(optax_index(7)),
    "bfloat16 torch": lambda: torch_bfloat16() == 11.5,
    "bfloat16 optax": lambda: optax_bfloat16() == 11.5,
    "bfloat16 chunks torch": lambda: (torch_chunked_loss(16), torch_chunked_loss(None)) == (4.0, 6.97),
    "tangent torch": lambda: torch_tangent(1) == 0 and math.isclose(torch_tangent(2), -1 / 3),
    "logsumexp scipy is right": lambda: of_scipy("logsumexp", np.array([0.0, -40.0])) > 4e-18,
}


@pytest.mark.filterwarnings("ignore")  # they may warn of what they like
@pytest.mark.parametrize("claim", OTHERS)
def test_what_others_do(claim: str) -> None:
    assert OTHERS[claim]()


# --- figures and links ---


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_figures_are_what_the_script_makes(script: Path) -> None:
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    count = len(list(SCRIPTS[script].glob("*.svg")))

    assert (done.returncode, done.stdout, done.stderr) == (0, f"{count} figures: as made\n", "")


@each_figure
def test_a_figure_says_what_it_shows_and_follows_the_page(figure: Path) -> None:
    name = "{http://www.w3.org/2000/svg}"
    root = ElementTree.parse(figure).getroot()

    assert all(letters(root.findtext(f"{name}{part}", "")) > 20 for part in ("title", "desc"))
    assert "prefers-color-scheme: dark" in root.findtext(f"{name}style", "")


def letters(text: str) -> float:
    """The width of a text in letters; a Chinese one is 14 px wide, which is 1.7 letters."""
    return sum(1.7 if letter > "\u2e80" else 1.0 for letter in text)


def start_of(text: ElementTree.Element) -> float:
    """The left end of a text, by an estimate of its width."""
    at, length, kinds = float(text.get("x", "")), 8.4 * letters(text.text or ""), text.get("class", "").split()
    return at - length if "end" in kinds else at - length / 2 if "middle" in kinds else at


@each_figure
def test_words_stay_inside_their_figure(figure: Path) -> None:
    """By an estimate of 8.4 px a letter, a little more than letters of 14 px take."""
    width = 720.0
    texts = list(ElementTree.parse(figure).getroot().iter("{http://www.w3.org/2000/svg}text"))

    assert len(texts) > 10
    assert [text.text for text in texts if not 0 <= start_of(text) <= width - 8.4 * letters(text.text or "")] == []


def test_every_figure_stands_on_a_page() -> None:
    shown = [name for page in PAGES for name in re.findall(r"!\[[^\]]{10,}\]\(images/([^)]+)\)", text_of(page))]

    assert sorted(shown) == sorted(figure.relative_to(FOLDER / "images").as_posix() for figure in FIGURES)


def anchors(page: Path) -> set[str]:
    """The names that headings get on GitHub."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_somewhere(page: Path, link: str) -> bool:
    """Whether a link inside the repository meets a file, and a heading in it; others are only looked at."""
    if link.startswith("https://"):
        return True
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", text_of(page))

    assert [link for link in links if not leads_somewhere(page, link)] == []


@each_page
def test_pages_are_short_and_their_formulas_survive_markdown(page: Path) -> None:
    """In $...$ Markdown takes backslashes before punctuation away; a bar ends a cell, a line ends a formula."""
    lines = text_of(page).splitlines()
    inline = re.findall(r"(?<!\$)\$([^$\n]+)\$(?!\$)", "\n".join(lines))

    assert 120 <= len(lines) <= LONGEST.get(page.name, 250)
    assert [line for line in lines if line.count("$") % 2 or len(line) > (160 if line[:1] in ("|", "$") else 120)] == []
    assert [formula for formula in inline if re.search(r"\\[^a-zA-Z]|\|", formula)] == []
