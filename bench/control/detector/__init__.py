"""The blocker detector, measured: labelled real pages (see `corpus.py`), and made ones for the other kinds."""

from __future__ import annotations

from collections import defaultdict

from bench.control.detector.corpus import LabelledPage, labelled
from bench.control.detector.judge import scored
from bench.control.detector.kinds import Made, made, plain
from bench.control.detector.reader import Read, Reader, opened
from bench.control.detector.vendors import widgets
from bench.figures import Figure, percentile

_TAKE_OUT = "(which) => { const all = [...document.forms]; for (const at of which) all[at].remove() }"


async def measure(*, odd: bool = True) -> list[Figure]:
    """Read the labelled pages of one half and the made ones; print what was found and return the figures."""
    figures = await _labelled(labelled(odd=odd))
    await _made()
    return figures


async def _labelled(pages: list[LabelledPage]) -> list[Figure]:
    read: list[tuple[LabelledPage, Read]] = []
    harmless: list[tuple[LabelledPage, Read]] = []
    async with opened(scripts=False) as reader:
        for page in pages:
            await reader.open(page.path.read_bytes(), page.url)
            read.append((page, await reader.read(page.url)))
            if page.formless and await _without_unknown(reader, page):
                harmless.append((page, await reader.read(page.url)))
    known = [(page, found) for page, found in read if page.annotated]
    login = scored((found.has("credentials", "login"), page.login) for page, found in known)
    captcha = scored((found.has("captcha"), page.captcha) for page, found in known)
    false = [(page, found) for page, found in harmless if found.findings]
    print(f"labelled pages: {len(pages)}, of which annotated in full {len(known)}")
    print(f"  login    {login}")
    print(f"  captcha  {captcha}")
    print(f"  formless {len(false)} of {len(harmless)} got a kind")
    for page, found in false:
        print(f"    {page.url}: {', '.join(f'{each.sort} ({each.why})' for each in found.findings)}")
    return [
        Figure("detector_login_f1", login.f1, "F1", login.n),
        Figure("detector_captcha_f1", captcha.f1, "F1", captcha.n),
        Figure("detector_false_on_formless", len(false) / len(harmless), "share", len(harmless)),
        Figure("detector_page_p95", percentile([found.ms for _, found in read], 0.95), "ms", len(read)),
    ]


async def _without_unknown(reader: Reader, page: LabelledPage) -> bool:
    """Take the forms out that nobody annotated; False where the browser counts its forms differently."""
    if await reader.evaluate("document.forms.length") != len(page.forms):
        return False
    await reader.evaluate(_TAKE_OUT, page.unknown)
    return True


async def _made() -> None:
    cases: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    wrong: list[str] = []
    async with opened() as reader:
        for page in [*made(), *widgets()]:
            found = await _read(reader, page)
            right = found.has(page.kind, page.sort)
            cases[f"{page.kind}/{page.sort}"].append((found.has(page.kind), True))
            if not right:
                wrong.append(f"{page.name}: {_told(found)}")
        alarms = [(page, await _read(reader, page)) for page in plain()]
    false = [(page, found) for page, found in alarms if found.findings]
    print("made pages, found by kind:")
    for name, pairs in sorted(cases.items()):
        print(f"  {name:28} {scored(pairs).recall:.3f}  n={len(pairs)}")
    print(f"  pages that only look alike   {len(false)} of {len(alarms)} got a kind")
    for page, found in false:
        print(f"    {page.name}: {_told(found)}")
    for line in wrong:
        print(f"    another sort, or missed: {line}")


async def _read(reader: Reader, page: Made) -> Read:
    await reader.open(page.html, page.url, page.status, page.scripts)
    return await reader.read(page.url, page.status, page.headers)


def _told(found: Read) -> str:
    return ", ".join(f"{each.kind}/{each.sort} {each.confidence:.2f} ({each.why})" for each in found.findings) or "none"
